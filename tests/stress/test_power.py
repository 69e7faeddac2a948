"""After a power loss all that was promised is there, and nothing torn is visible."""

from __future__ import annotations

import subprocess
import sys
from ast import literal_eval
from pathlib import Path

import pytest
from sizes import sized

ROOT = Path(__file__).parents[2]


def test_every_state_after_a_loss_is_whole(tmp_path: Path) -> None:
    """In a process of its own, because it forks, and what is forked must have no threads."""
    pytest.importorskip("torch")
    count = sized(10_000, few=800)
    command = [sys.executable, "-m", "tests.stress.power", str(count), str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{count:,} states, 0 wrong" in done.stdout


CARELESS = """
import os, sys, random
from ast import literal_eval
from pathlib import Path
from tests.stress.faultfs.power import Trace
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
    done = subprocess.run(
        [sys.executable, "-c", CARELESS, str(tmp_path), *synced],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr
    assert sorted(literal_eval(done.stdout)) == sorted(expected)
