"""Processes killed at every point of store and executor, and what is left behind looked at.

A campaign forks a child for each kill, in a copy of a prepared store; the child tells through a
pipe which steps were done, which nothing may take back. A second child then looks: all told steps
are there with every byte, nothing torn is visible, and the next run ends with the same digests.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from khichdi.compiler.compile import compile_recipe, with_lock
from khichdi.plugins.registry import load_registry
from khichdi.project.bundled_recipes import open_recipe
from khichdi.runtime import execute
from khichdi.runtime.execute import Executor
from khichdi.runtime.sources.pin import pin
from khichdi.runtime.store import runs
from khichdi.runtime.store.gc_and_verify import clean, make_room, verify
from khichdi.runtime.store.repair import Repair
from khichdi.runtime.store.runs import make_record, new_run, newest_runs, write_run
from khichdi.runtime.store.store import Store
from khichdi.schema.errors import FetchError, StoreError
from khichdi.schema.plan import Plan

from .forks import fork, forked, forked_together
from .points import Points, kill

RECIPE = """\
extends: quickstart
recipe: 1
data:
  tasks: null
  one:
    source: {use: files, include: [one.jsonl]}
    read: {use: jsonl}
    filters: [{use: max-words, fields: [input], below: 5}]
  two:
    source: {use: files, include: [two.jsonl]}
    read: {use: jsonl}
"""


Told = Callable[[str], object]


class Telling:
    """A reporter that tells each finished step's key."""

    def __init__(self, told: Told | None = None) -> None:
        self.told = told

    def started(self, step: Any) -> None: ...

    def progress(self, step: Any, progress: Any) -> None: ...

    def finished(self, step: Any) -> None:
        if self.told is not None:
            self.told(step.result.key)


@dataclass
class Workdir:
    """A small recipe, compiled and locked, whose steps need no heavy library."""

    folder: Path
    recipe: str = RECIPE

    def __post_init__(self) -> None:
        for name, count in (("one", 12), ("two", 5)):
            rows = [
                json.dumps({"instruction": name, "input": "word " * (n % 7), "output": str(n)})
                for n in range(count)
            ]
            (self.folder / f"{name}.jsonl").write_text("\n".join(rows) + "\n")
        (self.folder / "pico.yaml").write_text(self.recipe)
        self.registry = load_registry()
        self.compiled = compile_recipe("pico.yaml", self.folder, open_recipe, self.registry)
        self.lock = pin(self.compiled.plan, self.compiled.folders, self.registry)
        plan = with_lock(self.compiled, self.registry, self.lock).plan
        steps = tuple(s for s in plan.steps if s.name.startswith(("data/", "mixture")))
        self.plan = Plan.model_validate({**dict(plan), "steps": steps})

    def own_run(self, root: Path) -> None:
        """Load what children need before they are forked, and ask slow questions once."""
        environment = execute.environment()
        execute.environment = runs.environment = lambda: environment
        runs.distributions = lambda: ()  # hundreds, and none of them matters here
        self.run(root)
        verify(Store(root))

    def run(self, root: Path, told: Told | None = None) -> dict[str, dict[str, str]]:
        """Run the steps in a store, write the run's folder, and return each step's digests."""
        store = Store(root)
        executor = Executor(self.plan, store, self.registry, self.compiled.folders, Telling(told))
        steps = executor.run()
        now = datetime.now(UTC)
        record = make_record(self.plan, steps, self.registry, now, 0.0)
        folder = new_run(store, "pico", now)
        write_run(folder, record, self.plan, self.lock, self.compiled.loaded.files, store)
        return {step.name: step.digests() for step in steps}


Work = Callable[[Workdir, Path, "Told | None"], object]


@dataclass(frozen=True)
class Scene:
    """What is killed: a store as it is before, and the work that is done on it.

    `damaged` says that the store before has damage, which may be there after, too; `beside` that
    another process, which is not killed, does a run on the same store meanwhile.
    """

    name: str
    before: Path
    work: Work
    damaged: bool = False
    beside: bool = False


@dataclass
class Tally:
    """What a campaign saw: kills by scene, and what was wrong after them."""

    kills: Counter[str] = field(default_factory=Counter)
    points: Counter[str] = field(default_factory=Counter)
    ended: int = 0
    wrong: list[str] = field(default_factory=list)


def _gc(workdir: Workdir, root: Path, told: Told | None) -> object:
    return clean(Store(root)), make_room(Store(root), 0)


def _repair(workdir: Workdir, root: Path, told: Told | None) -> object:
    def fetch(step: Any, into: Path) -> None:
        raise FetchError("there is no network")

    return Repair(Store(root), fetch).run()


def scenes(workdir: Workdir, folder: Path) -> list[Scene]:
    """Prepare the stores, and return what is to be killed in each."""
    empty, full, half = (folder / name for name in ("empty", "full", "half"))
    Store(empty).root.mkdir()
    forked(lambda: workdir.run(full))
    forked(lambda: workdir.run(half), Points(kill, at=160))
    untidy, damaged = folder / "untidy", folder / "damaged"
    shutil.copytree(full, untidy)
    shutil.copytree(full, damaged)
    (untidy / "tmp" / "999999999-dead").mkdir()
    forked(lambda: _orphan(Store(untidy)))
    store = Store(damaged)
    outputs = [o for _, r in store.results() if r for o in r.outputs.values()]
    for output in outputs[:2]:
        path = store.folder(output) / next(iter(output.files))
        path.chmod(0o644)
        path.write_bytes(b"x" * path.stat().st_size)
    store.result_path(store.result_keys()[-1]).write_text("{")
    run = Workdir.run
    return [
        Scene("first run", empty, run),
        Scene("run again", full, run),
        Scene("run after a kill", half, run),
        Scene("two runs", empty, run, beside=True),
        Scene("gc with quota", untidy, _gc),
        Scene("repair", damaged, _repair, damaged=True),
    ]


def _orphan(store: Store) -> None:
    """Leave an artifact without a result, and a result that no run names."""
    for text in ("one", "two"):
        with store.staging() as staging:
            (staging / "out").mkdir()
            (staging / "out" / "file").write_text(text)
            output = store.publish(staging / "out", "files")
    key = "sha256:" + "1" * 64
    result = next(result for _, result in store.results() if result)
    store.keep(result.model_copy(update={"key": key, "outputs": {"files": output}}))


def campaign(count: int, folder: Path, seed: int = 57, jobs: int = 1) -> Tally:
    """Kill `count` processes: at every point of every scene once, then at random ones and times."""
    (folder / "workdir").mkdir(parents=True)
    workdir = Workdir(folder / "workdir")
    workdir.own_run(folder / "own_run")
    found = scenes(workdir, folder)
    reference: dict[str, dict[str, str]] = json.loads(
        forked(lambda: workdir.run(folder / "reference"), answer=True)
    )
    draw = random.Random(seed)
    tally = Tally()
    plans: list[tuple[Scene, int | None]] = []
    for scene in found:
        number = _points(workdir, scene, folder / "count")
        tally.points[scene.name] = number
        plans += [(scene, at) for at in range(number)]
    draw.shuffle(plans)  # a short campaign is a sample of the long one
    while len(plans) < count:
        scene = draw.choice(found)
        at = draw.choice([None, draw.randrange(tally.points[scene.name])])
        plans.append((scene, at))

    def share(job: int) -> Callable[[], object]:
        def work() -> object:
            mine, own = Tally(), random.Random(seed + job)
            for scene, at in plans[job:count:jobs]:
                _one(workdir, scene, at, folder / f"victim-{job}", reference, own, mine)
            return {"kills": mine.kills, "ended": mine.ended, "wrong": mine.wrong}

        return work

    for answer in forked_together([share(job) for job in range(jobs)]):
        done = json.loads(answer)
        tally.kills.update(done["kills"])
        tally.ended += done["ended"]
        tally.wrong += done["wrong"]
    return tally


def _one(
    workdir: Workdir,
    scene: Scene,
    at: int | None,
    root: Path,
    reference: dict[str, dict[str, str]],
    draw: random.Random,
    tally: Tally,
) -> None:
    """Kill one process at one point (None: at a random time), and look at what is left."""
    shutil.copytree(scene.before, root, copy_function=shutil.copy2)
    end, told = os.pipe()
    write = os.write  # not the wrapped one
    pid = fork(
        lambda: scene.work(workdir, root, lambda key: write(told, f"{key}\n".encode())),
        Points(kill, at),
    )
    other = fork(lambda: workdir.run(root)) if scene.beside else None
    os.close(told)
    if at is None:
        time.sleep(draw.random() * 0.08)
        os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    with os.fdopen(end) as pipe:
        done = pipe.read().split()
    where = f"{scene.name}, {'at some time' if at is None else f'point {at}'}"
    if not os.WIFSIGNALED(status):
        tally.ended += 1
        if os.waitstatus_to_exitcode(status) != 0:
            tally.wrong.append(f"{where}: it failed before it was killed")
    if other is not None and os.waitpid(other, 0)[1] != 0:
        tally.wrong.append(f"{where}: the other run failed")
    answer = forked(lambda: _look(workdir, scene, root, done, reference), answer=True)
    tally.wrong += [f"{where}: {one}" for one in json.loads(answer or '["no answer"]')]
    tally.kills[scene.name] += 1
    shutil.rmtree(root)


def _look(
    workdir: Workdir, scene: Scene, root: Path, done: list[str], reference: dict[str, Any]
) -> list[str]:
    """Return what is wrong with a store after a kill; runs the recipe in it, too."""
    store = Store(root)
    wrong = []
    if not scene.damaged:
        wrong = [f"visible and torn: {one}" for one in verify(store).damaged]
        for key in done:
            result = store.result(key)
            if result is None:
                wrong.append(f"lost what was done: {key}")
    for folder, record in newest_runs(store):
        if record is None and (folder / "record.json").exists():
            wrong.append(f"a torn record: {folder.name}")
    if scene.damaged:
        _repair(workdir, root, None)
    if workdir.run(root) != reference:
        wrong.append("the next run has other digests")
    wrong += [f"torn after the next run: {one}" for one in verify(store).damaged]
    try:
        clean(store)
    except StoreError as error:
        wrong.append(f"not to be cleaned: {error}")
    if list(store.scratch.iterdir()):
        wrong.append("leftovers after gc")
    return wrong


def _points(workdir: Workdir, scene: Scene, root: Path) -> int:
    """Return how many points a scene has."""
    shutil.copytree(scene.before, root)
    points = Points()

    def counted() -> int:
        scene.work(workdir, root, None)
        return len(points.names)

    number = int(forked(counted, points, answer=True))
    shutil.rmtree(root)
    return number
