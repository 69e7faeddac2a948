"""A source that is edited meanwhile gives old bytes, new ones or an error; runs share a store."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from khichdi.plugins.registry import load_registry
from khichdi.runtime.sources.pin import fetch
from khichdi.runtime.store.gc_and_verify import clean, verify
from khichdi.runtime.store.store import Store
from khichdi.schema.digest import file_sha256
from khichdi.schema.errors import LockError
from khichdi.schema.lock import Material, PinnedFile
from khichdi.schema.plan import PlanStep, PluginRef

SIZE = 1 << 20
OLD, NEW = b"a" * SIZE, b"b" * SIZE


def step_of(folder: Path, data: bytes) -> PlanStep:
    """Return a source step whose pin has these bytes."""
    path = folder / "pinned"
    path.write_bytes(data)
    file = PinnedFile(path="rows.jsonl", size=len(data), sha256=file_sha256(path))
    params = {"folder": ".", "include": ["rows.jsonl"]}
    return PlanStep(
        name="data/rows/source",
        kind="source",
        plugin=PluginRef(kind="source", name="files", version=1, params=params),
        settings={},
        inputs={},
        seed=1,
        key="sha256:" + "0" * 64,
        material=Material(use="files", request=file.sha256, files=(file,)),
    )


def test_a_file_edited_while_it_is_copied_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "rows.jsonl"
    source.write_bytes(OLD)
    step, into = step_of(tmp_path, OLD), tmp_path / "into"
    into.mkdir()

    def copy(path: Path, target: Path) -> None:
        with path.open("rb") as file, target.open("wb") as out:
            out.write(file.read(SIZE // 2))
            source.write_bytes(NEW)
            file.seek(SIZE // 2)
            out.write(file.read())

    monkeypatch.setattr(shutil, "copyfile", copy)
    with pytest.raises(LockError, match=r"rows\.jsonl is not the file that was pinned"):
        fetch(step, tmp_path, load_registry(), into)
    mixed = (into / "rows.jsonl").read_bytes()
    assert set(mixed) == set(OLD + NEW)


MUTATE = """
import os, sys
handle = os.open(sys.argv[1], os.O_WRONLY)
print("ready", flush=True)
while True:
    for letter in (b"a", b"b"):
        os.pwrite(handle, letter * int(sys.argv[2]), 0)
"""


@contextmanager
def edited(path: Path) -> Iterator[None]:
    command = [sys.executable, "-c", MUTATE, str(path), str(SIZE)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as mutator:
        assert mutator.stdout is not None
        assert mutator.stdout.readline() == "ready\n"
        try:
            yield
        finally:
            mutator.kill()


def test_a_file_that_is_edited_all_the_time_gives_old_new_or_an_error(tmp_path: Path) -> None:
    source = tmp_path / "rows.jsonl"
    source.write_bytes(OLD)
    registry = load_registry()
    steps = [(step_of(tmp_path, data), data) for data in (OLD, NEW)]
    ends = {"whole": 0, "refused": 0}
    with edited(source):
        for number in range(60):
            step, expected = steps[number % 2]
            into = tmp_path / f"into-{number}"
            into.mkdir()
            try:
                fetch(step, tmp_path, registry, into)
            except LockError:
                ends["refused"] += 1
            else:
                ends["whole"] += 1
                assert (into / "rows.jsonl").read_bytes() == expected
    assert sum(ends.values()) == 60


RUN = """
import json, sys
from pathlib import Path
from tests.stress.faultfs.kills import RECIPE, Workdir
folder, store, below = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
folder.mkdir()
workdir = Workdir(folder, RECIPE.replace("below: 5", f"below: {below}"))
print("ready", flush=True)
sys.stdin.readline()
print(json.dumps(workdir.run(store)))
"""


def start(folder: Path, store: Path, below: int) -> subprocess.Popen[str]:
    """Start a process that waits for a word to run a recipe in a store."""
    return subprocess.Popen(
        [sys.executable, "-c", RUN, str(folder), str(store), str(below)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )


def go(runs: list[subprocess.Popen[str]]) -> list[Any]:
    """Let all run at once, and return what they print."""
    for run in runs:
        assert run.stdout is not None
        assert run.stdout.readline() == "ready\n"
    for run in runs:
        assert run.stdin is not None
        run.stdin.write("go\n")
        run.stdin.flush()
    found = [run.communicate()[0] for run in runs]
    assert [run.returncode for run in runs] == [0] * len(runs)
    return [json.loads(text) for text in found]


def test_runs_of_the_same_and_of_other_recipes_share_a_store(tmp_path: Path) -> None:
    store = tmp_path / "store"
    kinds = [5, 5, 3, 3]
    both = go([start(tmp_path / str(n), store, below) for n, below in enumerate(kinds)])
    alone = {b: go([start(tmp_path / f"k{b}", tmp_path / f"s{b}", b)])[0] for b in set(kinds)}
    assert both == [alone[below] for below in kinds]
    assert alone[5] != alone[3]
    checked = verify(Store(store))
    assert checked.damaged == []
    assert checked.results == len(
        {*Store(tmp_path / "s5").result_keys(), *Store(tmp_path / "s3").result_keys()}
    )
    assert clean(Store(store)).freed == 0
