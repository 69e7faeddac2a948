"""Any system call of a command may fail: a sentence, a status, and a whole store."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from sizes import sized

pytest.importorskip("torch", reason="a run needs the extra `train`")
pytest.importorskip("securesystemslib", reason="the extra `proof` is not installed")

ROOT = Path(__file__).parents[2]


def test_a_call_that_fails_is_a_sentence_and_the_store_stays_whole(tmp_path: Path) -> None:
    """In a process of its own, because it forks, and what is forked must have no threads."""
    count, trainings = sized(1_000, few=60), sized(100, few=0)
    words = [str(count), str(tmp_path), "57", str(trainings)]
    command = [sys.executable, "-m", "tests.stress.faults", *words]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{count + trainings:,} faults" in done.stdout
    assert "; 0 wrong" in done.stdout
