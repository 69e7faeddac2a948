"""Killed at any point: nothing done is lost, nothing torn is visible, and the next run is right."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).parent.parent.parent / "benchmarks" / "kills.py"


@pytest.mark.parametrize(
    "count", [pytest.param(150, id="150"), pytest.param(2000, id="2000", marks=pytest.mark.slow)]
)
def test_nothing_done_is_lost_and_nothing_torn_is_seen(count: int, tmp_path: Path) -> None:
    """In a process of its own, because it forks, and what is forked must have no threads."""
    done = subprocess.run(
        [sys.executable, str(BENCHMARK), str(count), str(tmp_path)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{count:,} kills" in done.stdout
    assert ", 0 wrong" in done.stdout
