"""Looking after a store: what is damaged is named and repaired, unreferenced files are removed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest

from khichdi.cli.main import main
from khichdi.project.quota import quota
from khichdi.runtime.store.gc_and_verify import clean, make_room, size_of, verify
from khichdi.runtime.store.repair import Repair
from khichdi.runtime.store.store import Store
from khichdi.schema.digest import digest, file_sha256
from khichdi.schema.errors import FetchError, InputError, StoreError
from khichdi.schema.plan import PlanStep
from khichdi.schema.record import Output, Record, StepResult

from .test_execute import Silent


def put(store: Store, name: str, **files: str) -> tuple[str, Output]:
    """Keep a result of these files, and return its key and output."""
    with store.staging() as staging:
        folder = staging / "out"
        folder.mkdir()
        for file, text in files.items():
            (folder / file).write_text(text)
        output = store.publish(folder, "files")
    key = digest("test", name)
    store.keep(StepResult(key=key, outputs={"files": output}))
    return key, output


def finish_run(store: Store, *keys: str) -> Path:
    """Write the record of a run of these results."""
    steps = [
        {
            "name": f"step-{number}",
            "kind": "filter",
            "plugin": "clean",
            "version": 1,
            "seed": None,
            "status": "ran",
            "seconds": 0.0,
            "result": store.result(key),
        }
        for number, key in enumerate(keys)
    ]
    record = Record.model_validate(
        {
            "recipe": "r",
            "recipe_hash": digest("test", 1),
            "result_hash": digest("test", 2),
            "seed": 1,
            "started": datetime.now(UTC).isoformat(),
            "seconds": 0.0,
            "steps": steps,
            "metrics": {},
            "plugins": (),
            "environment": {},
        }
    )
    folder = store.runs / "run"
    folder.mkdir(parents=True)
    (folder / "record.json").write_text(record.to_text())
    return folder


def flip(path: Path) -> None:
    path.chmod(0o644)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def no_fetch(step: PlanStep, into: Path) -> None:
    raise FetchError("there is no network")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def test_a_damaged_file_comes_back_from_another_copy(store: Store) -> None:
    key, output = put(store, "a", weights="w" * 1000, config="{}")
    put(store, "b", weights="w" * 1000)
    flip(store.folder(output) / "weights")
    assert len(verify(store).damaged) == 1
    (repaired,) = Repair(store, no_fetch).run()
    assert repaired.what == "restored"
    assert "weights from artifacts/" in repaired.how
    assert verify(store).damaged == []
    assert store.result(key) is not None


def test_a_missing_file_comes_back_from_a_runs_folder(store: Store) -> None:
    key, output = put(store, "a", adapter="x" * 100, config="{}")
    folder = finish_run(store, key)
    (folder / "adapter").write_text("x" * 100)
    (store.folder(output) / "adapter").unlink()
    (repaired,) = Repair(store, no_fetch).run()
    assert (repaired.what, repaired.how) == ("restored", "adapter from runs/run/adapter")
    assert store.result(key) is not None


def test_what_has_no_other_copy_goes_with_all_results_that_name_it(store: Store) -> None:
    first, output = put(store, "a", only="one")
    second, _ = put(store, "b", only="one")
    other, _ = put(store, "c", only="another")
    flip(store.folder(output) / "only")
    (repaired,) = Repair(store, no_fetch).run()
    assert repaired.what == "removed"
    assert store.result_keys() == [other]
    assert not store.folder(output).exists()
    assert first != second
    assert verify(store).damaged == []


def test_an_artifact_is_dropped_with_every_result_that_names_it(store: Store) -> None:
    """Steps that give the same bytes share them: a reader, and a sampler that keeps all rows."""
    _, output = put(store, "read", only="one")
    _, shared = put(store, "sampled", only="one")
    other, _ = put(store, "c", only="another")
    assert output.manifest == shared.manifest
    store.drop(shared)
    assert store.result_keys() == [other]
    assert verify(store).damaged == []


def test_a_repair_that_ends_early_leaves_no_result_that_names_what_is_gone(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, output = put(store, "a", lost="one", **{"still there": "two", "this too": "three"})
    flip(store.folder(output) / "lost")
    before = verify(store).damaged

    def fails(key: str) -> None:
        raise StoreError("cannot remove it")

    with monkeypatch.context() as patch:
        patch.setattr(store, "forget", fails)
        with pytest.raises(StoreError, match="cannot remove it"):
            Repair(store, no_fetch).run()
    assert verify(store).damaged == before
    assert (store.folder(output) / "still there").read_text() == "two"
    Repair(store, no_fetch).run()
    assert store.result_keys() == []
    assert verify(store).damaged == []


def test_a_torn_result_comes_back_from_a_runs_record(store: Store) -> None:
    key, _ = put(store, "a", only="one")
    lost, _ = put(store, "b", only="two")
    finish_run(store, key)
    for one in (key, lost):
        path = store.result_path(one)
        path.write_text(path.read_text()[:50])
    assert len(verify(store).damaged) == 2
    assert {one.what for one in Repair(store, no_fetch).run()} == {"restored", "removed"}
    assert store.result_keys() == [key]
    assert store.result(key) is not None
    assert verify(store).damaged == []


def test_publishing_damaged_content_again_heals_it(store: Store) -> None:
    _, output = put(store, "a", only="one")
    flip(store.folder(output) / "only")
    put(store, "b", only="one")
    assert verify(store).damaged == []


def test_a_clean_up_removes_leftovers_and_what_nothing_names(store: Store) -> None:
    key, output = put(store, "a", only="one")
    named, of_run = put(store, "b", only="two")
    finish_run(store, named)
    store.forget(named)
    _, orphan = put(store, "c", only="three")
    store.forget(digest("test", "c"))
    dead = store.root / "tmp" / "999999999-x"
    dead.mkdir()
    (dead / "half").write_text("x" * 10)
    alive = store.root / "tmp" / f"{os.getpid()}-x"
    alive.mkdir()
    (store.root / "steps" / ".half").write_text("{")
    done = store.root / "work" / key[7:]
    done.mkdir(parents=True)
    (done / "checkpoint").write_text("1")
    assert clean(store).freed == len("three") + 10 + 1 + 1
    assert list(store.artifacts()) == sorted([store.folder(output), store.folder(of_run)])
    assert not store.folder(orphan).exists()
    assert [path for path in store.scratch.iterdir()] == [alive]
    assert not done.exists()
    assert not list((store.root / "steps").glob(".*"))


def test_a_quota_drops_what_no_run_names_the_least_recently_used_first(store: Store) -> None:
    keys = [put(store, str(n), file=f"{n}" * 1000)[0] for n in range(5)]
    finish_run(store, keys[0])
    for age, key in enumerate(reversed(keys)):
        os.utime(store.result_path(key), (1000 - age, 1000 - age))
    store.mark_used(keys[1])
    one = size_of(store.result_path(keys[0])) + 1000
    room = make_room(store, size_of(store.root) - one - 1)
    assert room.results == 2
    assert room.left == size_of(store.root)
    assert set(store.result_keys()) == {keys[0], keys[1], keys[4]}
    assert make_room(store, 0).results == 2
    assert store.result_keys() == [keys[0]]  # a run names it


def test_a_quota_spares_what_a_plan_uses(store: Store) -> None:
    key, _ = put(store, "a", file="x" * 1000)
    assert make_room(store, 0, keep=frozenset([key])).results == 0
    assert make_room(store, 10_000_000, coming=10_000_000).results == 1


def test_nobody_cleans_up_under_a_run(store: Store) -> None:
    put(store, "a", only="one")
    with store.shared():
        for remove in (clean, partial(make_room, quota=0)):
            with pytest.raises(StoreError, match="a run is at work"):
                remove(Store(store.root))
        with Store(store.root).shared():
            pass  # another run
    assert clean(store).freed == 0


@pytest.mark.parametrize(
    ("text", "expected"),
    [("200GiB", 200 << 30), ("1.5TB", 1_500_000_000_000), ("12 kb", 12_000), ("7", 7), ("0", 0)],
)
def test_sizes_are_read(text: str, expected: int) -> None:
    assert quota(text) == expected


@pytest.mark.parametrize("text", ["much", "-1", "1GG", "1e9", "GiB"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="is not a size"):
        quota(text)


RECIPE = """\
extends: quickstart
recipe: 1
name: far
data:
  tasks: null
  far:
    source: {{use: http, url: "{url}/b.jsonl", sha256: "{sha}"}}
    read: {{use: jsonl}}
"""


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    folder = tmp_path / "served"
    folder.mkdir()
    # In a process of its own: a server here would change what a source is watched for.
    command = [sys.executable, "-u", "-m", "http.server", "0", "--bind", "127.0.0.1"]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        port = server.stdout.readline().split(" port ")[1].split()[0]
        yield folder, f"http://127.0.0.1:{port}"
        server.terminate()


def test_a_damaged_source_is_fetched_again_or_removed(
    served: tuple[Path, str], store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from khichdi.compiler.compile import compile_recipe, with_lock
    from khichdi.plugins.registry import load_registry
    from khichdi.project.bundled_recipes import open_recipe
    from khichdi.runtime.execute import Executor
    from khichdi.runtime.sources.pin import pin
    from khichdi.schema.plan import Plan

    folder, url = served
    row = json.dumps({"instruction": "i", "input": "b", "output": "o"})
    (folder / "b.jsonl").write_text(f"{row}\n" * 5)
    sha = file_sha256(folder / "b.jsonl").removeprefix("sha256:")
    (tmp_path / "far.yaml").write_text(RECIPE.format(url=url, sha=sha))
    registry = load_registry()
    compiled = compile_recipe("far.yaml", tmp_path, open_recipe, registry)
    lock = pin(compiled.plan, compiled.folders, registry)
    plan = with_lock(compiled, registry, lock).plan
    steps = tuple(step for step in plan.steps if step.name == "data/far/source")
    part = Plan.model_validate({**dict(plan), "steps": steps})
    (step,) = Executor(part, store, registry, compiled.folders, Silent()).run()
    (store.runs / "one").mkdir(parents=True)
    (store.runs / "one" / "plan.json").write_text(part.to_text())
    damaged = store.folder(step.result.outputs["files"]) / "b.jsonl"

    def repair() -> list[str]:
        flip(damaged)
        assert main(["store", "repair", "--json", "--store", str(store.root)]) == 0
        repaired = json.loads(capsys.readouterr().out)["repaired"]
        return [f"{one['step']}: {one['what']}, {one['how']}" for one in repaired]

    assert repair() == ["data/far/source: fetched, b.jsonl from its source"]
    assert store.check(step.result.outputs["files"], every=True) == []
    (folder / "b.jsonl").write_text("other bytes\n")
    (line,) = repair()
    assert line.startswith("data/far/source: removed, ")
    assert store.result_keys() == []
