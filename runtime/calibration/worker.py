"""Train in a separate process: `python -m khichdi.runtime.calibration.worker JOB`.

What decides which kernels run is read when a process starts. A job is a JSON file: the run, the
stores that have its artifacts, a setting, and what to do: an honest rerun, or controls by number.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ...plugins.kinds import TrainingSegment
from ...plugins.registry import Registry
from ...schema.calibration import RERUN
from ...schema.digest import digest
from ...schema.errors import KhichdiError, StepError
from ...schema.plan import PlanStep
from ...schema.record import Output, RecordedStep
from ..adapter_files import WEIGHTS
from ..audit.audited_run import Claim, open_claim
from ..audit.plugin_files import registry_of
from ..audit.segment_distance import Errors, errors
from ..audit.segments import replay_segments
from ..execute import Executor
from ..store.store import Store, store_error
from ..training_states import read_states
from .cpu_kernels import Setting
from .forgeries import add_noise, as_claimed, changed_packs, changed_step, write_other_base
from .trained_model import Rows, TrainedModel, scores_in, training_in

FAILED = "failed.txt"
"""Why a job failed, in its folder."""
REPLAYED = 4
"""Segments of a training that are executed again, to measure the distance of honest ones."""


class Borrowing(Store):
    """A store that reads missing artifacts from others, and never changes them."""

    def __init__(self, root: Path, others: tuple[Path, ...]) -> None:
        super().__init__(root)
        self.others = tuple(Store(other) for other in others)

    def folder(self, output: Output) -> Path:
        """Return the folder of an output's files, its own before those of others."""
        own = self.own_folder(output)
        if own.is_dir():
            return own
        return next((s.folder(output) for s in self.others if s._complete(output)), own)


@dataclass
class WorkerJob:
    """The job of a worker process.

    Attributes:
        run: the folder of the run.
        stores: roots of stores that have its artifacts.
        scratch: the folder for results.
        setting: the substitute for other hardware.
        tasks: what to do, each `rerun` or a kind of control, and its number.
        score: whether reruns are evaluated too.
    """

    run: str
    stores: list[str]
    scratch: str
    setting: Setting
    tasks: list[tuple[str, int]]
    score: bool = True

    def place(self, kind: str, number: int) -> Path:
        """Return the folder that a training is written to."""
        return Path(self.scratch) / f"{kind.replace(' ', '-')}-{number}"


def start(job: WorkerJob, environment: dict[str, str]) -> None:
    """Do a job in a process of its own.

    Raises:
        StepError: it failed; has the worker's error.
    """
    scratch = Path(job.scratch)
    scratch.mkdir(parents=True, exist_ok=True)
    file, log = scratch / "job.json", scratch / "log.txt"
    file.write_text(json.dumps(asdict(job)), encoding="utf-8")
    with log.open("wb") as out:
        done = subprocess.run(
            [sys.executable, "-m", __name__, str(file)],
            env={**environment, **job.setting.environment},
            stdout=out,
            stderr=subprocess.STDOUT,
            check=False,
        )
    if done.returncode:
        lines = log.read_text(errors="replace").split("\n")
        reason = _read(scratch / FAILED) or next((line for line in reversed(lines) if line), "")
        reason = reason or f"its process ended with status {done.returncode} and said nothing"
        raise StepError(f"a training for the calibration failed: {reason.strip()}")


def _read(file: Path) -> str:
    return file.read_text(encoding="utf-8") if file.is_file() else ""


def main(file: Path) -> int:
    """Run a job's tasks one after the other; report the first that fails, with exit status 3."""
    try:
        value = json.loads(file.read_bytes())
        setting = Setting(**value.pop("setting"))
        job = WorkerJob(setting=setting, **value)
        worker = Worker(job)
        for kind, number in job.tasks:
            worker.do(kind, number)
        return 0
    except KhichdiError as error:
        failed = error
    except OSError as error:
        failed = store_error(error, error.filename or "the work stopped")
    with contextlib.suppress(OSError):  # then the log has it
        (file.parent / FAILED).write_text(str(failed), encoding="utf-8")
    print(failed.message, file=sys.stderr)
    return failed.status


class _Silent:
    """A silent reporter."""

    def started(self, step: PlanStep) -> None:
        """Ignore it."""

    def progress(self, step: PlanStep, progress: Any) -> None:
        """Ignore it."""

    def finished(self, step: RecordedStep) -> None:
        """Ignore it."""


class Worker:
    """Does the tasks of one job."""

    def __init__(self, job: WorkerJob) -> None:
        self.job = job
        stores = tuple(map(Path, job.stores))
        self.claim: Claim = open_claim(Path(job.run), "run", stores)
        self.store = Borrowing(Path(job.scratch) / "store", stores)
        # `recipe calibrate` has asked for consent to the run's plugin files by then.
        self.registry: Registry = registry_of(Path(job.run), self.claim.record, allow=True)
        assert self.claim.plan is not None
        self.plan = self.claim.plan
        self.train = next(step for step in self.plan.steps if step.kind == "runtime")
        self.recorded = {step.name: step for step in self.claim.record.steps}
        self.honest = training_in(self.recorded[self.train.name], self.store)

    def do(self, kind: str, number: int) -> None:
        """Train according to one task, and write the results."""
        done = {name: step for name, step in self.recorded.items() if self._comes_before(name)}
        if kind == RERUN:
            steps = [self._here(self.train, kind, number)]
            if self.job.score:
                steps += [self._here(step, kind, number) for step in self._evaluations()]
        elif kind == "adapter with noise":
            steps, done = [], dict(self.recorded)
        else:
            forged = changed_step(kind, number, self.train, len(self.honest.trace), self.registry)
            steps = [self._here(forged, kind, number)]
            self._change_inputs(kind, number, done)
        made = self._execute(steps, done)
        self._take(kind, number, made)

    def _comes_before(self, name: str) -> bool:
        kinds = ("runtime", "evaluator", "exporter")
        return self.recorded[name].kind not in kinds

    def _evaluations(self) -> Iterator[PlanStep]:
        return (step for step in self.plan.steps if step.kind == "evaluator")

    def _here(self, step: PlanStep, kind: str, number: int) -> PlanStep:
        """Return a step with the setting's parameters, under a key of its own."""
        plugin = self.job.setting.on(step.plugin)
        stopped: Any = self.recorded[step.name].result.facts.get("stopped") or {}
        if again := stopped.get("again"):
            plugin = plugin.model_copy(update={"params": {**plugin.params, **again}})
        key = digest("step", {"key": step.key, "kind": kind, "number": number})
        return step.model_copy(update={"plugin": plugin, "key": key})

    def _execute(
        self, steps: list[PlanStep], done: dict[str, RecordedStep]
    ) -> dict[str, RecordedStep]:
        if steps:
            plan = self.plan.model_copy(update={"steps": tuple(steps)})
            executor = Executor(plan, self.store, self.registry, {}, _Silent(), done=done)
            executor.run()
        return done

    def _take(self, kind: str, number: int, made: dict[str, RecordedStep]) -> None:
        """Copy what was trained to the task's folder, as it would be handed in."""
        place = self.job.place(kind, number)
        place.mkdir(parents=True)
        found = training_in(made[self.train.name], self.store)
        shutil.copytree(found.adapter, place / "adapter", copy_function=shutil.copyfile)
        trace = found.trace
        scores: dict[str, tuple[dict[str, float], Rows]] = {}
        if kind == RERUN:
            names = [step.name for step in self._evaluations()] if self.job.score else []
            scores = {name: scores_in(made[name], self.store) for name in names}
        else:
            trace = as_claimed(trace, self.honest.trace)
        if kind == "adapter with noise":
            add_noise(number, place / "adapter" / WEIGHTS)
        apart = self._errors(kind, number, made[self.train.name])
        told = TrainedModel(place / "adapter", trace, found.metrics, scores, apart)
        told.write(place / "training.json")

    # ---- segments ---------------------------------------------------------------------------

    def _errors(self, kind: str, number: int, made: RecordedStep) -> dict[int, Errors]:
        """Execute some segments again as the recipe has them, and return their errors.

        Of a rerun they are the run's segments, of a control its own: as an audit would find them.
        """
        claimed = self.recorded[self.train.name] if kind == RERUN else made
        output = claimed.result.outputs.get("states")
        folder = self.store.folder(output) if output else None
        if kind == "adapter with noise" or folder is None or not folder.is_dir():
            return {}
        states = read_states(folder)
        numbers = spread(len(states.bounds) - 1)
        if not numbers:
            return {}
        asked = [TrainingSegment.of(states, one, folder) for one in numbers]
        inputs = {
            role: self.store.folder(self.recorded[name].result.outputs[output])
            for role, name, output in self.train.sources()
        }
        step, staging = (
            self._here(self.train, kind, number),
            self.job.place(kind, number) / "replay",
        )
        try:
            replay = replay_segments(step, inputs, asked, staging, self.registry, _Silent())
        except KhichdiError:
            if kind == RERUN:
                raise
            return {}  # no state of this recipe's: an audit would end here
        pairs = zip(numbers, replay.segments, strict=True)
        found = {one: errors(states, folder, one, given) for one, given in pairs}
        shutil.rmtree(staging)
        return found

    # ---- other inputs -----------------------------------------------------------------------

    def _change_inputs(self, kind: str, number: int, done: dict[str, RecordedStep]) -> None:
        """Put a control's packs or base in the place of the run's."""
        places = {role: (name, output) for role, name, output in self.train.sources()}
        if kind == "another base":
            name, output = places["base"]
            with self.store.staging() as staging:
                made = self._other_base(number, done[name].result.outputs[output], staging)
            _replace(done, name, output, made)
            return
        from ..tables import read_table, write_table

        name, output = places["train"]
        packs = read_table(self.store.folder(done[name].result.outputs[output]))
        rest, other = places["validation"]
        held_out = read_table(self.store.folder(done[rest].result.outputs[other]))
        table = changed_packs(kind, number, packs, held_out)
        if table is not None:
            with self.store.staging() as staging:
                (staging / "packs").mkdir()
                content = write_table(staging / "packs", table)
                made = self.store.publish(staging / "packs", "packs", content)
            _replace(done, name, output, made)

    def _other_base(self, number: int, base: Output, staging: Path) -> Output:
        source, into = self.store.folder(base), staging / "base"
        into.mkdir()
        inside = list(source.iterdir())
        while len(inside) == 1 and inside[0].is_dir():  # as `Context.folder` goes into them
            source = inside[0]
            inside = list(source.iterdir())
        write_other_base(number, source, into)
        return self.store.publish(into, "files")


def spread(last: int) -> list[int]:
    """Return at most `REPLAYED` numbers from 1 to `last`, evenly spread, with both ends."""
    count = min(REPLAYED, last)
    return sorted({1 + round(at * (last - 1) / max(1, count - 1)) for at in range(count)})


def _replace(done: dict[str, RecordedStep], name: str, output: str, made: Output) -> None:
    step = done[name]
    outputs = {**step.result.outputs, output: made}
    result = step.result.model_copy(update={"outputs": outputs})
    done[name] = step.model_copy(update={"result": result})


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
