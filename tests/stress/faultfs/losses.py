"""Power losses in what the store and a training do on disk, and what is right after each."""

from __future__ import annotations

import json
import random
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from khichdi.runtime.store.gc_and_verify import clean, make_room, verify
from khichdi.runtime.store.repair import Repair
from khichdi.runtime.store.runs import newest_runs
from khichdi.runtime.store.store import Store
from khichdi.schema.digest import digest, file_sha256
from khichdi.schema.errors import FetchError
from khichdi.schema.record import StepResult

from .kills import Workdir
from .power import Trace, build

Look = Callable[[Path, list[str]], Iterator[str]]


@dataclass
class Tally:
    """What was tried, by scene, and what was wrong."""

    states: Counter[str] = field(default_factory=Counter)
    operations: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)


def put(store: Store, name: str, text: str) -> str:
    """Publish two files, keep a result that names them, and return its key."""
    with store.staging() as staging:
        folder = staging / "out"
        (folder / "deep" / "deeper").mkdir(parents=True)
        (folder / "file").write_text(text)
        (folder / "deep" / "deeper" / "file").write_text(text * 2)
        output = store.publish(folder, "files")
    key = digest("test", name)
    store.keep(StepResult(key=key, outputs={"files": output}))
    return key


def store_scene(world: Path, trace: Trace) -> None:
    """Keep, forget, publish again, clean up, make room and mend, in a store that is new."""
    store = Store(world / "new" / "store")
    trace.start()
    with store.shared():
        for name in "abc":
            trace.mark(put(store, name, name))
        trace.mark(put(store, "again", "a"))
    gone = digest("test", "b")
    trace.mark(f"-{gone}")
    store.forget(gone)
    clean(store)
    trace.mark(put(store, "b", "b"))
    output = store.result(gone).outputs["files"]  # type: ignore[union-attr]
    put(store, "copy", "b")
    for key in store.result_keys():
        trace.mark(f"-{key}")
    make_room(store, 0)
    trace.mark(put(store, "b", "b"))
    assert store.check(output, every=True) == []


def repair_scene(world: Path, trace: Trace) -> None:
    """Mend a store with a damaged artifact that has a copy, and one that has none."""
    store = Store(world / "store")
    keys = [put(store, name, name) for name in "abc"]
    with store.staging() as staging:
        (staging / "out").mkdir()
        (staging / "out" / "other name").write_text("a")
        (staging / "out" / "second").write_text("aa")
        output = store.publish(staging / "out", "files")
    store.keep(StepResult(key=digest("test", "copy"), outputs={"files": output}))
    for key in keys[:2]:
        result = store.result(key)
        assert result is not None
        path = store.folder(result.outputs["files"]) / "file"
        path.chmod(0o644)
        path.write_text("?")
    trace.start()
    trace.mark(keys[2])
    Repair(store, _no_fetch).run()
    trace.mark(keys[0])
    assert verify(store).damaged == []


def run_scene(workdir: Workdir) -> Callable[[Path, Trace], None]:
    """Return a whole run in a new store, twice."""

    def scene(world: Path, trace: Trace) -> None:
        trace.start()
        workdir.run(world / "new" / "store", trace.mark)
        trace.mark("run")
        workdir.run(world / "new" / "store", trace.mark)

    return scene


def checkpoint_scene(world: Path, trace: Trace) -> None:
    """Save four checkpoints of a training, of which two are kept."""
    from khichdi.plugins.builtin.runtime.qlora.checkpoint import save

    with Store(world / "store").work(digest("test", "train")) as work:
        trace.start()
        for step in range(1, 5):
            save(work, _checkpoint(step), keep=2)
            trace.mark(str(step))
        trace.mark("done")


def look_at_store(world: Path, promised: list[str]) -> Iterator[str]:
    """Yield what is wrong: something promised is gone, or something torn is visible."""
    store = Store(
        next((p for p in (world / "new" / "store", world / "store") if p.is_dir()), world)
    )
    whole: set[str] = set()
    for one in promised:
        whole.discard(one.removeprefix("-")) if one.startswith("-") else whole.add(one)
    for key in whole - {"run"}:
        if store.result(key) is None:
            yield f"lost {key}"
    yield from (f"torn: {line}" for line in verify(store).damaged)
    found = [record for _, record in newest_runs(store) if record]
    if "run" in whole and not found:
        yield "lost the run"
    for folder, record in newest_runs(store):
        if record is None:
            if (folder / "record.json").exists():
                yield "a torn record"
            continue
        for file in record.files:
            path = folder / "recipe" / file.path
            if not path.is_file() or file_sha256(path) != file.sha256:
                yield f"the record's {file.path} is not whole"


def look_at_repair(world: Path, promised: list[str]) -> Iterator[str]:
    """Yield what is wrong; what was damaged before may be still, and is seen to be."""
    store = Store(world / "store")
    for key in promised:
        result = store.result(key)
        if result is None or store.check(result.outputs["files"], every=True):
            yield f"lost {key}"
    Repair(store, _no_fetch).run()
    yield from (f"torn: {line}" for line in verify(store).damaged)


def look_at_checkpoints(world: Path, promised: list[str]) -> Iterator[str]:
    """Yield what is wrong: the newest whole checkpoint is older than the last one promised."""
    from khichdi.plugins.builtin.runtime.qlora.checkpoint import newest

    work = world / "store" / "work" / digest("test", "train").removeprefix("sha256:")
    found = newest(work, "me")
    last = 0 if "done" in promised else max(map(int, promised), default=0)
    if (found.step if found else 0) < last:
        yield f"checkpoint {last} is lost"
    if found is not None and float(found.adapter["w"][0]) != found.step:
        yield f"checkpoint {found.step} has other tensors"


def campaign(count: int, folder: Path, seed: int = 57, *, training: bool = True) -> Tally:
    """Try `count` states over all scenes."""
    (folder / "workdir").mkdir(parents=True)
    workdir = Workdir(folder / "workdir")
    workdir.own_run(folder / "own_run")
    scenes: dict[str, tuple[Callable[[Path, Trace], None], Look]] = {
        "store": (store_scene, look_at_store),
        "repair": (repair_scene, look_at_repair),
        "two runs in turn": (run_scene(workdir), look_at_store),
    }
    if training:
        scenes["checkpoints"] = (checkpoint_scene, look_at_checkpoints)
    draw, tally = random.Random(seed), Tally()
    for name, (work, look) in scenes.items():
        trace = _traced(work, folder / "world")
        tally.operations[name] = len(trace.ops)
        for at, state in trace.states(count // len(scenes), draw):
            root = folder / "state"
            build(state, root)
            promised = [op.mark for op in trace.ops[:at] if op.mark]
            try:
                found = list(look(root, promised))
            except Exception as error:
                found = [f"{type(error).__name__}: {error}"]
            tally.wrong += [f"{name}, after {at} of {len(trace.ops)}: {one}" for one in found]
            tally.states[name] += 1
            shutil.rmtree(root)
    return tally


def _traced(work: Callable[[Path, Trace], None], world: Path) -> Trace:
    """Do some work in a child, and return what it did on disk."""
    import pickle

    from .forks import in_child

    def child() -> Any:
        world.mkdir()
        trace = Trace(world)
        work(world, trace)
        trace.end()
        return pickle.dumps((trace.ops, trace.nodes, trace.final, trace.before))

    raw = in_child(child)
    shutil.rmtree(world)
    ops, nodes, final, before = pickle.loads(raw)
    return Trace(world, ops, nodes, final, before)


def _checkpoint(step: int) -> Any:
    import torch

    from khichdi.plugins.builtin.runtime.qlora.checkpoint import Checkpoint

    tensors = {"w": torch.full((8,), float(step))}
    return Checkpoint("me", step, tensors, tensors, {"lr": 0.1}, None, json.loads("{}"))


def _no_fetch(step: Any, into: Path) -> None:
    raise FetchError("there is no network")
