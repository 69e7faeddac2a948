"""Execute a run again from the pinned bytes, and compare each step as it finishes."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import JsonValue

from ...plugins.kinds import KINDS, ContradictionError
from ...plugins.registry import Registry
from ...schema.audit import LEVELS, Finding, LevelReport
from ...schema.errors import InputError, KhichdiError, LockError
from ...schema.plan import PlanStep
from ...schema.record import Output, RecordedStep, StepResult
from ..execute import Executor, Reporter
from ..sources.mirror import Mirror
from ..store.runs import metrics
from ..store.store import Store
from .audited_run import QUANTIZED, Claim, upto, weights_of
from .compare import difference
from .documents import first_difference
from .figures import main_output
from .level import Level
from .plugin_files import check_loaded
from .tolerance import Tolerance

EXECUTED = LEVELS[LEVELS.index("sources") :]


@dataclass
class Rerun:
    """Executes a claim's plan again.

    Attributes:
        claim: the run.
        store: where results go; it holds nothing of the run.
        registry: the installed plugins.
        origins: by source, the folder that its relative paths start in.
        reporter: receives progress.
        mirror: where sources come from that the run's stores do not have.
        tolerance: the calibration that decides where bits differ; without one they diverge.
        elsewhere: after `run`, the steps that were done on another device.
    """

    claim: Claim
    store: Store
    registry: Registry
    origins: Mapping[str, Path]
    reporter: Reporter
    mirror: Mirror | None = None
    tolerance: Tolerance | None = None
    levels: dict[str, Level] = field(default_factory=dict)
    done: dict[str, RecordedStep] = field(default_factory=dict)
    elsewhere: list[Finding] = field(default_factory=list)
    equivalent: set[str] = field(default_factory=set)
    taken: set[str] = field(default_factory=set)
    """Sources whose bytes were in the run's stores."""
    failed: str | None = None
    parted: str | None = None

    def __post_init__(self) -> None:
        self.claimed = {step.name: step for step in self.claim.record.steps}

    def run(self, level: str | None = None) -> list[LevelReport]:
        """Execute the steps up to a level; stop after the first that gives something else.

        Steps after a divergence would differ because of it, and are not compared.
        """
        asked = [name for name in upto(level) if name in EXECUTED]
        self.levels = {name: Level(name) for name in asked}
        for step in self.wanted(level):
            try:
                recorded = self.execute(step)
            except KhichdiError as error:
                if contradicts(error):
                    self._contradicted(step, error)
                    break
                # Memory, network or a package may be missing here: no proof of anything.
                self.failed = f"{step.name} could not be executed here: {error.message}"
                break
            self._compare(self.claimed[step.name], recorded)
            if any(level.findings for level in self.levels.values()):
                self.parted = f"it follows from {step.name}"
                break
        else:
            self._numbers()
        return [self._report(self.levels[name]) for name in asked]

    def wanted(self, level: str | None) -> list[PlanStep]:
        """Return the steps that have an output at a level asked for, and those they need."""
        assert self.claim.plan is not None
        asked = upto(level)
        names: set[str] = set()
        for step in reversed(self.claim.plan.steps):
            outputs = self.claimed[step.name].result.outputs
            if step.name in names or any(self.claim.level_of(step, n) in asked for n in outputs):
                names |= {step.name, *(name for _, name, _ in step.sources())}
        return [step for step in self.claim.plan.steps if step.name in names]

    # ---- executing --------------------------------------------------------------------------

    def execute(self, step: PlanStep) -> RecordedStep:
        """Execute a step whose inputs are there; a source's bytes come from the run's stores."""
        self.check_plugins(step)
        taken = self._source(step)
        if taken is not None:
            self.taken.add(step.name)
        return taken or self._step(step)

    def check_plugins(self, step: PlanStep) -> None:
        """Refuse a plugin of another version, or of a plugin file that was not loaded."""
        check_loaded(self.claim, step, self.registry)
        for ref in step.plugins():
            if ref.kind not in KINDS:
                continue
            found = self.registry.get(ref.kind, ref.name).plugin.version
            if found != ref.version:
                raise InputError(
                    f"it was done by version {ref.version} of {ref.kind} `{ref.name}`, "
                    f"version {found} is installed"
                )

    def _source(self, step: PlanStep) -> RecordedStep | None:
        """Take a source's bytes from the run's stores, where they are; each is hashed again."""
        if step.kind != "source" or step.material is None:
            return None
        made = {}
        for name, output in self.claimed[step.name].result.outputs.items():
            folder = self.claim.artifact(output)
            if folder is None:
                return None
            made[name] = _brought(self.store, folder, output)
            arrived = {path: file.sha256 for path, file in made[name].files.items()}
            if arrived != {file.path: file.sha256 for file in step.material.files}:
                raise LockError(f"{step.name}#{name} does not hold the files that are pinned")
        sizes = [file.size for output in made.values() for file in output.files.values()]
        facts: dict[str, JsonValue] = {"files": len(sizes), "bytes": sum(sizes)}
        self.store.keep(StepResult(key=step.key, outputs=made, facts=facts))
        return self._step(step)

    def _step(self, step: PlanStep) -> RecordedStep:
        assert self.claim.plan is not None
        executor = Executor(
            self.claim.plan.model_copy(update={"steps": (step,)}),
            self.store,
            self.registry,
            self.origins,
            self.reporter,
            self.mirror,
            done=self.done,
        )
        executor.run()
        return self.done[step.name]

    # ---- comparing --------------------------------------------------------------------------

    def _compare(self, claimed: RecordedStep, derived: RecordedStep) -> None:
        """Compare a step's outputs, and its facts, with what the record says."""
        theirs, ours = claimed.result.outputs, derived.result.outputs
        parted: list[tuple[Level, Finding]] = []
        for name in dict.fromkeys([*theirs, *ours]):
            a, b = theirs.get(name), ours.get(name)
            level = self._level(claimed, name)
            if claimed.kind == "runtime" and name == "weights" and a and b:
                self._weights(claimed, derived)
            elif a is None or b is None:
                level.compare(self._parted(claimed.name, name, a, b))
            elif a.digest != b.digest:
                parted.append((level, self._parted(claimed.name, name, a, b)))
            else:
                level.checked += 1
        self._device(claimed, derived)
        found = first_difference(claimed.result.facts, derived.result.facts)
        if found:
            finding = Finding(
                step=claimed.name, at=f"fact {found[0]}", claimed=found[1], derived=found[2]
            )
            parted.append((self._level(claimed, main_output(claimed)), finding))
        if parted and not self._judged(claimed, derived):
            for level, finding in parted:
                level.contradict(finding)

    def _contradicted(self, step: PlanStep, error: KhichdiError) -> None:
        """Report a step that its own inputs cannot give, on this machine or any other."""
        claimed = self.claimed[step.name]
        finding = Finding(
            step=step.name, at="execution", claimed="it ran", derived=f"it cannot: {error.message}"
        )
        self._level(claimed, main_output(claimed)).contradict(finding)
        self.parted = f"it follows from {step.name}"

    def _device(self, claimed: RecordedStep, derived: RecordedStep) -> None:
        devices = [step.result.measured.get("device") for step in (claimed, derived)]
        if None not in devices and devices[0] != devices[1]:
            self.elsewhere.append(
                Finding(step=claimed.name, at="device", claimed=devices[0], derived=devices[1])
            )

    def _judged(self, claimed: RecordedStep, derived: RecordedStep) -> bool:
        """Let the calibration decide about a training or an evaluation, if there is one.

        All that is below has to be identical: with another start there is nothing to tolerate.
        """
        if self.tolerance is None or any(level.findings for level in self.levels.values()):
            return False
        if claimed.kind == "exporter" and self.equivalent:
            after = " and ".join(sorted(self.equivalent))
            level = self._level(claimed, "model")
            level.absent.append(f"{claimed.name} follows from {after}, which is not identical")
            return True
        judged = self.tolerance.judge(self.claim, claimed, derived, self.store, self.done)
        for name, verdict in (judged or {}).items():
            level = self.levels.get(name) or Level(name)
            level.checked += len(verdict.held)
            level.findings += verdict.findings
            level.held += verdict.held
            level.absent += verdict.lacking
        if judged is not None:
            self.equivalent.add(claimed.name)
        return judged is not None

    def _weights(self, claimed: RecordedStep, derived: RecordedStep) -> None:
        """Compare the digests of weights one by one, so that the one that differs is named."""
        here = Claim("", self.store.root, self.claim.record, None, None, (self.store.root,))
        theirs, ours = weights_of(self.claim, claimed), weights_of(here, derived)
        if theirs is None or ours is None:  # only the digest of both together is known
            theirs, ours = (
                {what: step.result.outputs["weights"].digest for what in ("initial", QUANTIZED)}
                for step in (claimed, derived)
            )
        for what in dict.fromkeys([*theirs, *ours]):
            finding = Finding(
                step=claimed.name,
                output="weights",
                at=f"tensors of {what}",
                claimed=theirs.get(what),
                derived=ours.get(what),
            )
            self._level(claimed, "weights").compare(finding)

    def _parted(self, step: str, name: str, a: Output | None, b: Output | None) -> Finding:
        """Return where an output first differs, as precisely as the available files allow."""
        at = "content digest"
        claimed: JsonValue = a.digest if a else None
        derived: JsonValue = b.digest if b else None
        folder = self.claim.artifact(a) if a else None
        if a and b and folder is not None:
            try:
                found = difference(a.kind, folder, self.store.folder(b))
            except Exception as error:  # whatever a reader makes of bytes not as they claim to be
                found = ("the claimed artifact", f"{type(error).__name__}: {error}", b.digest)
            if found is not None:
                at, claimed, derived = found
        return Finding(step=step, output=name, at=at, claimed=claimed, derived=derived)

    def _numbers(self) -> None:
        level = self.levels.get("metrics")
        # The record's numbers are those of its steps, which were judged one by one.
        if level is None or self.equivalent:
            return
        claimed, derived = self.claim.record.metrics, metrics(list(self.done.values()))
        for name in dict.fromkeys([*claimed, *derived]):
            level.compare(
                Finding(at=f"metric {name}", claimed=claimed.get(name), derived=derived.get(name))
            )

    # ---- reporting --------------------------------------------------------------------------

    def _level(self, step: RecordedStep, output: str) -> Level:
        name = self.claim.level_of(step, output)
        return self.levels.get(name) or Level(name)

    def _report(self, level: Level) -> LevelReport:
        steps = {step.name for step, _, _, place in self.claim.outputs() if place == level.name}
        # Bytes that were here already were hashed again, and compared with their pins.
        basis = "derived" if steps and steps <= self.taken else "executed"
        found = level.report().model_copy(update={"basis": basis})
        whole = level.checked and steps <= self.done.keys()
        if level.findings or whole:
            return found
        why = self.parted or self.failed or found.detail
        verdict = "not run" if self.parted else "unverifiable"
        return found.model_copy(update={"verdict": verdict, "basis": None, "detail": why})


def contradicts(error: KhichdiError) -> bool:
    """Return whether a step failed because what was asked of it cannot be, anywhere."""
    return isinstance(error, ContradictionError) or isinstance(error.__cause__, ContradictionError)


def _brought(store: Store, folder: Path, output: Output) -> Output:
    """Copy an artifact into a store through its own door: every byte is hashed on the way."""
    with store.staging() as staging:
        copy = staging / "files"
        copy.mkdir()
        for name in output.files:
            if (folder / name).is_symlink():
                raise InputError(f"{name} is a link, a plain file was expected")
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(folder / name, copy / name)
        return store.publish(copy, output.kind)
