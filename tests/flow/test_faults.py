"""Any system call of a command may fail: a sentence, a status, and a whole store."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="a run needs the extra `train`")
pytest.importorskip("securesystemslib", reason="the extra `proof` is not installed")

BENCHMARK = Path(__file__).parent.parent.parent / "benchmarks" / "faults.py"


@pytest.mark.parametrize(
    ("count", "trainings"),
    [pytest.param(60, 0, id="60"), pytest.param(150, 12, id="162", marks=pytest.mark.slow)],
)
def test_a_call_that_fails_is_a_sentence_and_the_store_stays_whole(
    count: int, trainings: int, tmp_path: Path
) -> None:
    """In a process of its own, because it forks, and what is forked must have no threads."""
    words = [str(count), str(tmp_path), "57", str(trainings)]
    done = subprocess.run([sys.executable, str(BENCHMARK), *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{count + trainings:,} faults" in done.stdout
    assert "; 0 wrong" in done.stdout
