"""Execute a few segments of a training again, drawn by a nonce that the run could not know.

All that comes before the training (rows, filters, packs) is derived from the pinned bytes first, so
that the segments are of the data that the recipe asks for. Each segment starts from the state that
the training is committed to before it, and is compared with the trace of its steps and with the
state that it ends in. The segment that the adapter comes out of is executed as well, drawn or not:
without it nothing would bind the adapter to the states.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from ...plugins.kinds import Replay, TrainingSegment
from ...plugins.registry import Registry
from ...plugins.result_checks import check_replayed
from ...schema.audit import Finding, LevelReport, SegmentReplay, SegmentVerdict
from ...schema.digest import file_sha256
from ...schema.errors import KhichdiError, StoreError, WorkError
from ...schema.plan import PlanStep, result_hash
from ...schema.record import Output, RecordedStep
from ...schema.training_states import States
from ..adapter_files import CONFIG, WEIGHTS
from ..execute import Reporter, guarded
from ..steps.context import Context, Outcome
from .audited_run import Claim, committed
from .documents import diverged
from .rerun import Rerun, contradicts
from .segment_comparison import SegmentComparison
from .segment_draw import drawn, odds, surely_caught


@dataclass
class Segments:
    """Executes drawn segments of a claim's trainings.

    Attributes:
        rerun: derives inputs of the trainings that are not here, and finds files.
        count: how many segments of each training are drawn.
        nonce: what decides which ones, with the run's result.
        given: whether somebody gave the nonce.
        levels: after `run`, the levels that something was executed at.
        replays: after `run`, what was done, by training.
    """

    rerun: Rerun
    count: int
    nonce: str
    given: bool = False
    levels: dict[str, LevelReport] = field(default_factory=dict)
    replays: list[SegmentReplay] = field(default_factory=list)

    @property
    def claim(self) -> Claim:
        """Return the claim."""
        return self.rerun.claim

    def run(self) -> None:
        """Derive what training starts from, then execute segments of each training of the plan."""
        assert self.claim.plan is not None
        self.levels |= {level.level: level for level in self.rerun.run("base weights")}
        if self.rerun.parted:
            return
        for step in self.claim.plan.steps:
            if step.kind == "runtime" and "steps" not in self.levels:
                self._training(step, self.rerun.claimed[step.name])

    # ---- a training -------------------------------------------------------------------------

    def _training(self, step: PlanStep, recorded: RecordedStep) -> None:
        commitment = committed(self.claim, recorded)
        if commitment is None:
            self._unverifiable(_no_states(step, recorded))
            return
        trace, states = commitment
        plan = self._drawn(step.name, states)
        try:
            inputs = self._inputs(step)
            asked = [self._asked(recorded, states, one.segment) for one in plan.replayed]
            replay = self._execute(step, inputs, asked)
        except KhichdiError as error:
            if contradicts(error):
                self._contradicted(step, error.message)
                return
            # Memory, network, weights or a package may be missing here: no proof of anything.
            why = f"no segment could be executed here: {error.message}"
            self.replays.append(plan.model_copy(update={"why_not": why}))
            self._unverifiable(why + (f"; {error.hint}" if error.hint else ""))
            return
        comparison = SegmentComparison(self.claim, recorded, trace, states, plan)
        compared, tolerance = comparison.compare(replay), self.rerun.tolerance
        if tolerance is not None and comparison.other_bits:
            compared = comparison.judge(
                tolerance.judge_segments(
                    self.claim, recorded, compared.replayed, replay.segments, self._input
                )
            )
        self.replays.append(compared)
        self.levels |= comparison.reports()

    def _drawn(self, step: str, states: States) -> SegmentReplay:
        """Draw segments by the derived result hash, which covers everything compared."""
        spans = states.segments()
        root = result_hash({one.name: one.digests() for one in self.claim.record.steps})
        chosen = drawn(root, self.nonce, step, len(spans), self.count)
        last = next(n for n, (_, end) in enumerate(spans, 1) if states.adapter_step <= end)
        return SegmentReplay(
            step=step,
            result_hash=root,
            nonce=self.nonce,
            nonce_from="given" if self.given else "system",
            steps=spans[-1][1],
            segments=len(spans),
            drawn=chosen,
            replayed=tuple(
                SegmentVerdict(
                    segment=number,
                    first=spans[number - 1][0],
                    last=spans[number - 1][1],
                    because="drawn" if number in chosen else "adapter",
                )
                for number in sorted({*chosen, last})
            ),
            odds=odds(len(spans), len(chosen)),
            surely_caught=surely_caught(len(spans), len(chosen)),
        )

    def _contradicted(self, step: PlanStep, why: str) -> None:
        """Report a training that the recipe cannot have given, whatever was drawn."""
        finding = Finding(step=step.name, output="trace", at="training steps", claimed=why)
        self.levels["steps"] = diverged("steps", 1, [finding], basis="derived")

    def _unverifiable(self, why: str) -> None:
        self.levels["steps"] = LevelReport(level="steps", verdict="unverifiable", detail=why)

    # ---- inputs -----------------------------------------------------------------------------

    def _asked(self, recorded: RecordedStep, states: States, number: int) -> TrainingSegment:
        """Return a segment, the bytes of the state that it starts from hashed again."""
        output = recorded.result.outputs["states"]
        files = self.claim.artifact(output)
        assert files is not None
        segment = TrainingSegment.of(states, number, files)
        if segment.folder is not None:
            _check(output, files, f"{segment.folder.name}/")
        return segment

    def _inputs(self, step: PlanStep) -> dict[str, Path]:
        """Return what the training takes: from the run's stores, else made here from its plan."""
        assert self.claim.plan is not None
        self.rerun.check_plugins(step)
        planned = {one.name: one for one in self.claim.plan.steps}
        missing = {name for _, name, output in step.sources() if self._kept(name, output) is None}
        if any(planned[name].kind != "source" for name in missing - self.rerun.done.keys()):
            raise WorkError(
                "its training data is not here, and could not be computed from the sources: "
                f"{self.rerun.failed}",
                hint="give the sources and base weights with --data DIR or --mirror DIR, or a "
                "bundle written with --with-data and --with-weights",
            )
        for name in sorted(missing - self.rerun.done.keys()):
            self._fetch(planned[name])
        return {role: self._input(name, output) for role, name, output in step.sources()}

    def _fetch(self, source: PlanStep) -> None:
        try:
            self.rerun.execute(source)
        except KhichdiError as error:
            raise WorkError(
                f"{source.name} is not here: {error.message}",
                hint="give it with --data DIR or --mirror DIR, or a bundle written with "
                "--with-weights",
            ) from error

    def _claimed(self, name: str, output: str) -> Output:
        return self.rerun.claimed[name].result.outputs[output]

    def _kept(self, name: str, output: str) -> Path | None:
        return self.claim.artifact(self._claimed(name, output))

    def _input(self, name: str, output: str) -> Path:
        """Return the folder of an input, every byte of it hashed again just before it is used."""
        made = self.rerun.done.get(name)
        if made is not None:
            found = made.result.outputs[output]
            if found.digest != self._claimed(name, output).digest:
                raise StoreError(f"{name}#{output} made here is not what the run trained on")
            return self.rerun.store.folder(found)
        folder = self._kept(name, output)
        assert folder is not None
        _check(self._claimed(name, output), folder)
        return folder

    # ---- executing --------------------------------------------------------------------------

    def _execute(
        self, step: PlanStep, inputs: dict[str, Path], asked: list[TrainingSegment]
    ) -> Replay:
        rerun = self.rerun
        staging = rerun.store.root / "replay" / step.name.replace("/", "-")
        rerun.reporter.started(step)
        return replay_segments(step, inputs, asked, staging, rerun.registry, rerun.reporter)


def replay_segments(
    step: PlanStep,
    inputs: dict[str, Path],
    asked: list[TrainingSegment],
    staging: Path,
    registry: Registry,
    reporter: Reporter,
) -> Replay:
    """Have the runtime execute segments, through the door that steps go through.

    Args:
        step: the training.
        inputs: the folder of each of its inputs, by role.
        asked: the segments.
        staging: the folder to create for results.
        registry: the installed plugins.
        reporter: receives progress.

    Raises:
        KhichdiError: they cannot be executed, or the runtime gave something else.
    """
    from ..steps.train import training_job

    (staging / "work").mkdir(parents=True)
    found: list[Replay] = []

    def perform(context: Context) -> Outcome:
        replay = context.plugin().replay(training_job(context, context.output("adapters")), asked)
        check_replayed(replay, asked)
        for given in replay.segments:
            for name in (WEIGHTS, CONFIG) if given.adapter else ():
                if not (given.adapter / name).is_file():
                    raise context.fail(f"the runtime wrote no {name}")
        found.append(replay)
        return Outcome({})

    guarded(
        Context(
            step=step,
            inputs=inputs,
            staging=staging,
            work=staging / "work",
            origin=None,
            registry=registry,
            report=lambda progress: reporter.progress(step, progress),
        ),
        perform,
    )
    return found[0]


def _no_states(step: PlanStep, recorded: RecordedStep) -> str:
    if "states" not in recorded.result.outputs:
        return (
            f"the runtime `{step.plugin.name}` kept no states to start a segment from: --rerun "
            "trains from the start"
        )
    return (
        "the states that segments start from are not here, or not of this trace: audit the run, "
        "or a bundle with them"
    )


def _check(output: Output, folder: Path, prefix: str = "") -> None:
    """Hash the files of an artifact, or those of one folder of it; nothing else may be there.

    Raises:
        StoreError: one is not as recorded, or not recorded.
    """
    recorded = {name: file for name, file in output.files.items() if name.startswith(prefix)}
    for path in folder.rglob("*"):
        name = path.relative_to(folder).as_posix()
        if name.startswith(prefix) and name not in recorded and not path.is_dir():
            raise StoreError(f"{name} is not a file of the artifact")
    for name, file in recorded.items():
        path = folder / name
        if path.is_symlink() or not path.is_file() or file_sha256(path) != file.sha256:
            raise StoreError(f"{name} is not, or no longer, as the record says")
