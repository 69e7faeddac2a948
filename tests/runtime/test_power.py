"""After a power loss all that was promised is there, and nothing torn is visible."""

from __future__ import annotations

import subprocess
import sys
from ast import literal_eval
from pathlib import Path

import pytest
from power import Trace

BENCHMARK = Path(__file__).parent.parent.parent / "benchmarks" / "power.py"


@pytest.mark.parametrize(
    "count",
    [pytest.param(800, id="800"), pytest.param(10_000, id="10000", marks=pytest.mark.slow)],
)
def test_every_state_after_a_loss_is_whole(count: int, tmp_path: Path) -> None:
    """In a process of its own, because it forks, and what is forked must have no threads."""
    pytest.importorskip("torch")
    done = subprocess.run(
        [sys.executable, str(BENCHMARK), str(count), str(tmp_path)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{count:,} states, 0 wrong" in done.stdout


CARELESS = """
import os, sys, random
from ast import literal_eval
from pathlib import Path
from power import Trace
world = Path(sys.argv[1])
trace = Trace(world)
trace.start()
(world / "new").mkdir()
with open(world / "new" / "partial", "w") as file:
    file.write("all of it")
    if "file" in sys.argv:
        file.flush()
        os.fsync(file.fileno())
os.replace(world / "new" / "partial", world / "new" / "whole")
for folder in ("new", "."):
    if folder in sys.argv:
        handle = os.open(world / folder, os.O_RDONLY)
        os.fsync(handle)
trace.end()
found = set()
for at, state in trace.states(400, random.Random(1)):
    if at == len(trace.ops):
        found.add(state.get("new/whole"))
print(sorted(map(str, found)))
"""


@pytest.mark.parametrize(
    ("synced", "expected"),
    [
        (["file", "new", "."], ["b'all of it'"]),
        (["file", "new"], ["None", "b'all of it'"]),
        (["file", "."], ["None", "b'all of it'"]),
        (["new", "."], ["b''", "b'\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00'", "b'all of it'",
                        "b'all '"]),
    ],
    ids=["all", "not the folder's folder", "not the folder", "not the file"],
)  # fmt: skip
def test_what_is_not_synced_can_be_lost(
    synced: list[str], expected: list[str], tmp_path: Path
) -> None:
    helpers = Path(sys.modules[Trace.__module__].__file__ or "").parent
    done = subprocess.run(
        [sys.executable, "-c", CARELESS, str(tmp_path), *synced],
        capture_output=True,
        text=True,
        cwd=helpers,
    )
    assert done.returncode == 0, done.stderr
    assert sorted(literal_eval(done.stdout)) == sorted(expected)
