"""Killed at any point: nothing done is lost, nothing torn is visible, and the next run is right."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from sizes import sized

ROOT = Path(__file__).parents[2]


def test_nothing_done_is_lost_and_nothing_torn_is_seen(tmp_path: Path) -> None:
    """In a process of its own, because it forks, and what is forked must have no threads."""
    count = sized(2_000, few=150)
    command = [sys.executable, "-m", "tests.stress.kills", str(count), str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{count:,} kills" in done.stdout
    assert ", 0 wrong" in done.stdout
