"""Judge a training or evaluation with other bits against a calibration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ...plugins.kinds import ReplayedSegment
from ...plugins.registry import Registry
from ...schema.audit import SegmentVerdict
from ...schema.calibration import Calibration
from ...schema.errors import InputError
from ...schema.record import RecordedStep
from ..audit.audited_run import Claim, committed
from ..audit.documents import first_difference
from ..audit.tolerance import Judged, LevelVerdict, Place
from ..store.store import Store
from ..training_states import read_states
from .calibrate import compared, updated
from .calibration_file import panel_of
from .invariants import adapters_part, states_part
from .limits import Limits
from .segment_limits import ReplayedSegments
from .statistics import SEGMENTS, curve, exact, outside, scores
from .trained_model import TrainedModel, scores_in, scores_of, training_in, training_of


@dataclass(frozen=True)
class CalibratedTolerance:
    """A calibration that was read with every check, and what it takes to use it."""

    calibration: Calibration
    registry: Registry

    def judge(
        self,
        claim: Claim,
        claimed: RecordedStep,
        derived: RecordedStep,
        store: Store,
        done: Mapping[str, RecordedStep],
    ) -> Judged | None:
        """Return the verdicts on a step that was executed again, as `audit.tolerance` says."""
        if claimed.kind == "evaluator":
            return self._evaluation(claim, claimed, derived, store)
        if claimed.kind != "runtime":
            return None

        def place(name: str, output: str) -> Path:
            return store.folder(done[name].result.outputs[output])

        limits = Limits(self.calibration, claimed.name)
        try:
            return self._training(limits, claim, claimed, derived, store, place)
        except InputError:
            raise
        except Exception as error:
            return limits.incomparable("adapter", "adapter", error)

    def judge_segments(
        self,
        claim: Claim,
        claimed: RecordedStep,
        replayed: Sequence[SegmentVerdict],
        given: Sequence[ReplayedSegment],
        place: Place,
    ) -> Judged:
        """Return the verdicts on segments that ended in other bits, as `audit.tolerance` says."""
        theirs, known = training_of(claimed, claim), committed(claim, claimed)
        assert theirs is not None
        assert known is not None
        segments = ReplayedSegments(theirs, known[1], replayed, given)

        def compare(one: Path, other: Path) -> dict[str, float]:
            (answers,) = panel_of(claim, self.registry, place).compare([(one, other)])
            return updated(one, other) | {f"t5.{name}": value for name, value in answers.items()}

        limits = Limits(self.calibration, claimed.name)
        try:
            return segments.judge(limits, compare)
        except InputError:
            raise
        except Exception as error:
            return limits.incomparable("steps", "trace", error)

    def figures(
        self, claim: Claim, theirs: TrainedModel, ours: TrainedModel, place: Place
    ) -> dict[str, float]:
        """Return every figure of a claimed and a derived training."""
        panel = panel_of(claim, self.registry, place)
        (answers,) = panel.compare([(theirs.adapter, ours.adapter)])
        values = compared(theirs, ours, answers)
        envelope = self.calibration.found.envelope
        return {**values, "t3.outside": outside(curve(theirs, ours), envelope)}

    def _training(
        self,
        limits: Limits,
        claim: Claim,
        claimed: RecordedStep,
        derived: RecordedStep,
        store: Store,
        place: Place,
    ) -> Judged | None:
        theirs, ours = training_of(claimed, claim), training_in(derived, store)
        if theirs is None:
            return None
        found = {"steps": LevelVerdict(), "adapter": LevelVerdict()}
        facts = [dict(step.result.facts) for step in (claimed, derived)]
        for fact in facts:
            fact.pop("metrics", None)  # they are measurements
        parted = first_difference(facts[0], facts[1])
        apart = [(f"fact {parted[0]}", *parted[1:])] if parted else []
        for at, told, made in [*apart, *exact(theirs, ours)]:
            found["steps"].findings.append(limits.finding("trace", at, told, made))
        other = adapters_part(theirs.adapter, ours.adapter)
        if other is not None:
            found["adapter"].findings.append(limits.finding("adapter", *other))
        if not (found["steps"].findings or found["adapter"].findings):
            values = self.figures(claim, theirs, ours, place)
            whole = self.calibration.used().keys() - set(SEGMENTS)
            for level, output in (("steps", "trace"), ("adapter", "adapter")):
                limits.hold(level, output, values, whole, found[level])
        states, made = committed(claim, claimed), derived.result.outputs.get("states")
        if states is not None and made is not None:
            # Their numbers have no limits of their own: they are on the way to an adapter that has.
            between = states_part(states[1], read_states(store.folder(made)))
            if between is not None:
                found["steps"].findings.append(limits.finding("states", *between))
        return found

    def _evaluation(
        self, claim: Claim, claimed: RecordedStep, derived: RecordedStep, store: Store
    ) -> Judged | None:
        told, made = scores_of(claimed, claim), scores_in(derived, store)
        if told is None:
            return None
        limits, found = Limits(self.calibration, claimed.name), LevelVerdict()
        ids = [[row.get("id") for row in rows] for _, rows in (told, made)]
        for at, a, b in (
            ("rows", ids[0], ids[1]),
            ("names of metrics", sorted(told[0]), sorted(made[0])),
        ):
            apart = first_difference(a, b)
            if apart is not None:
                part = (f"{at} {apart[0]}", *apart[1:])
                found.findings.append(limits.finding("predictions", *part))
        one, other = (TrainedModel(Path(), [], {}, {claimed.name: side}) for side in (told, made))
        values = scores(one, other)
        limits.demand(values, found)
        limits.hold("metrics", "predictions", values, values.keys(), found)
        return {"metrics": found}
