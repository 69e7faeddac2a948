"""Holds a training, or an evaluation, that came out with other bits against a calibration."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ....plugins.kinds import ReplayedSegment
from ....plugins.registry import Registry
from ....schema.audit import LARGEST, Finding, Held, SegmentVerdict
from ....schema.calibration import Calibration
from ....schema.errors import InputError
from ....schema.record import RecordedStep
from ....schema.states import State, States
from ...adapter import CONFIG, WEIGHTS, adapter_digest
from ...states import read_states
from ...store import Store
from ..apart import Errors
from ..claim import Claim, committed
from ..documents import first_difference
from .calibration import compared, updated
from .reading import Place, panel_of
from .statistics import SEGMENTS, curve, exact, first_step, of_segments, outside, scores
from .training import Training, scores_in, scores_of, training_in, training_of


@dataclass
class LevelVerdict:
    """What a calibration says of one level.

    Attributes:
        held: figures with their limits.
        findings: what is beyond its limit, or differs where nothing is tolerated.
        lacking: what could not be decided, and why.
    """

    held: list[Held] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    lacking: list[str] = field(default_factory=list)


Judged = dict[str, LevelVerdict]


@dataclass(frozen=True)
class Tolerance:
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
        """Return by level what to say of a step; None where nothing is tolerated.

        Args:
            claim: what is claimed.
            claimed: the step as it is told.
            derived: the step as it came out here.
            store: where it was done again.
            done: the steps that were done again before it.
        """
        if claimed.kind == "evaluator":
            return self._evaluation(claim, claimed, derived, store)
        if claimed.kind != "runtime":
            return None

        def place(name: str, output: str) -> Path:
            return store.folder(done[name].result.outputs[output])

        try:
            judged = self._training(claim, claimed, derived, training_in(derived, store), place)
            if judged is not None:
                judged["steps"].findings += _states(claim, claimed, derived, store)
            return judged
        except InputError:
            raise
        except Exception as error:
            return _incomparable("adapter", claimed.name, "adapter", error)

    def _training(
        self,
        claim: Claim,
        claimed: RecordedStep,
        derived: RecordedStep,
        ours: Training,
        place: Place,
    ) -> Judged | None:
        theirs = training_of(claimed, claim)
        if theirs is None:
            return None
        found = {"steps": LevelVerdict(), "adapter": LevelVerdict()}
        facts = [dict(step.result.facts) for step in (claimed, derived)]
        for fact in facts:
            fact.pop("metrics", None)  # among what is measured
        parted = first_difference(facts[0], facts[1])
        apart = [(f"fact {parted[0]}", *parted[1:])] if parted else []
        for at, told, made in [*apart, *exact(theirs, ours)]:
            found["steps"].findings.append(_finding(claimed.name, "trace", at, told, made))
        other = _shapes(theirs.adapter, ours.adapter)
        if other is not None:
            found["adapter"].findings.append(_finding(claimed.name, "adapter", *other))
        if found["steps"].findings or found["adapter"].findings:
            return found
        values = self.figures(claim, theirs, ours, place)
        whole = set(self.calibration.used()) - set(SEGMENTS)
        for level, output in (("steps", "trace"), ("adapter", "adapter")):
            self._hold(level, values, found[level], claimed.name, output, only=whole)
        return found

    # ---- segments ---------------------------------------------------------------------------

    def judge_segments(
        self,
        claim: Claim,
        claimed: RecordedStep,
        replayed: Sequence[SegmentVerdict],
        given: Sequence[ReplayedSegment],
        place: Place,
    ) -> Judged:
        """Return by level what to say of segments that came out with other bits.

        Each is held to what one segment may be apart, its losses to the envelope of whole reruns,
        which drift further, and the adapter to the limits of one that was trained from the start.

        Args:
            claim: what is claimed.
            claimed: the training as it is told.
            replayed: which segments, and how far each is apart.
            given: what they gave here.
            place: where inputs of the training are.
        """
        theirs, known = training_of(claimed, claim), committed(claim, claimed)
        assert theirs is not None
        assert known is not None
        try:
            found = self._exactly(claimed.name, theirs, known[1], replayed, given)
            if found["steps"].findings or found["adapter"].findings:
                return found
            values = of_segments(
                {one.segment: Errors(one.error, one.state_error) for one in replayed}
            )
            values |= self._losses(theirs.trace, replayed, given)
            found["steps"].lacking += [
                f"the state that segment {one.segment} ended in here"
                for one in replayed
                if one.error is None and known[1].bounds[one.segment - 1].kept
            ]
            self._limited("steps", values, found["steps"], claimed.name, "trace")
            adapter = _adapter(given)
            if adapter and adapter_digest(adapter) != adapter_digest(theirs.adapter):
                ours = (theirs.adapter, adapter)
                (answers,) = panel_of(claim, self.registry, place).compare([ours])
                values = updated(*ours) | {f"t5.{name}": value for name, value in answers.items()}
                self._hold("adapter", values, found["adapter"], claimed.name, "adapter")
            return found
        except InputError:
            raise
        except Exception as error:
            return _incomparable("steps", claimed.name, "trace", error)

    def _exactly(
        self,
        step: str,
        theirs: Training,
        states: States,
        replayed: Sequence[SegmentVerdict],
        given: Sequence[ReplayedSegment],
    ) -> Judged:
        """Find what differs of segments where nothing is tolerated on any hardware."""
        found = {"steps": LevelVerdict(), "adapter": LevelVerdict()}
        for one, made in zip(replayed, given, strict=True):
            told = Training(theirs.adapter, theirs.trace[one.first - 1 : one.last], {})
            ours = Training(theirs.adapter, json.loads(json.dumps(made.trace)), {})
            parts = [("trace", *at) for at in exact(told, ours)]
            place = f"after step {one.last}"
            sides = [{place: _described(at)} for at in (states.bounds[one.segment - 1], made.state)]
            apart = first_difference(sides[0], sides[1])
            parts += [("states", *apart)] if apart else []
            found["steps"].findings += [_finding(step, *part) for part in parts]
        adapter = _adapter(given)
        other = _shapes(theirs.adapter, adapter) if adapter else None
        if other is not None:
            found["adapter"].findings.append(_finding(step, "adapter", *other))
        return found

    def _losses(
        self,
        claimed: list[dict[str, Any]],
        replayed: Sequence[SegmentVerdict],
        given: Sequence[ReplayedSegment],
    ) -> dict[str, float]:
        """Return what the steps of segments say beside their errors."""
        spread = self.calibration.found.envelope
        made = {entry["step"]: entry for one in given for entry in one.trace}
        here = [made.get(entry["step"], entry) for entry in claimed]
        whole = curve(Training(Path(), claimed, {}), Training(Path(), here, {}))
        steps = [step for one in replayed for step in range(one.first, one.last + 1)]
        found = first_step(claimed[0], made[1]) if 1 in made else {}
        pairs = [(whole[step - 1], spread[step - 1]) for step in steps if step <= len(spread)]
        return {**found, "t3.outside": outside(*map(list, zip(*pairs, strict=True)))}

    def _limited(
        self, level: str, values: dict[str, float], found: LevelVerdict, step: str, output: str
    ) -> None:
        """Hold what figures there are against their limits; say which have none."""
        criteria = {one.name: one for one in self.calibration.found.criteria}
        for name in values:
            criterion = criteria.get(name)
            if name in SEGMENTS and (criterion is None or criterion.limit is None):
                why = criterion.why if criterion else "its calibration does not have it"
                found.lacking.append(f"what it takes to judge {name} ({why})")
        self._hold(level, values, found, step, output, only=set(values))

    def figures(
        self, claim: Claim, theirs: Training, ours: Training, place: Place
    ) -> dict[str, float]:
        """Return every figure of a claimed and a derived training."""
        panel = panel_of(claim, self.registry, place)
        (answers,) = panel.compare([(theirs.adapter, ours.adapter)])
        values = compared(theirs, ours, answers)
        envelope = self.calibration.found.envelope
        return {**values, "t3.outside": outside(curve(theirs, ours), envelope)}

    def _evaluation(
        self, claim: Claim, claimed: RecordedStep, derived: RecordedStep, store: Store
    ) -> Judged | None:
        told, made = scores_of(claimed, claim), scores_in(derived, store)
        if told is None:
            return None
        found = LevelVerdict()
        ids = [[row.get("id") for row in rows] for _, rows in (told, made)]
        for at, a, b in (
            ("rows", ids[0], ids[1]),
            ("names of metrics", sorted(told[0]), sorted(made[0])),
        ):
            apart = first_difference(a, b)
            if apart is not None:
                at = f"{at} {apart[0]}"
                found.findings.append(_finding(claimed.name, "predictions", at, *apart[1:]))
        one, other = (Training(Path(), [], {}, {claimed.name: side}) for side in (told, made))
        values = scores(one, other)
        criteria = {c.name: c for c in self.calibration.found.criteria}
        for name in values:
            criterion = criteria.get(name)
            if criterion is None or criterion.limit is None:
                why = criterion.why if criterion else "its calibration does not have it"
                found.lacking.append(f"what it takes to judge {name} ({why})")
        self._hold("metrics", values, found, claimed.name, "predictions", only=set(values))
        return {"metrics": found}

    def _hold(
        self,
        level: str,
        values: Mapping[str, float],
        found: LevelVerdict,
        step: str,
        output: str,
        only: set[str] | None = None,
    ) -> None:
        """Hold a level's figures against their limits."""
        for name, criterion in self.calibration.used().items():
            limit = criterion.limit
            if criterion.level != level or limit is None or (only is not None and name not in only):
                continue
            value = values.get(name, math.inf)  # a figure that was calibrated has to be there
            value = value if math.isfinite(value) else LARGEST
            found.held.append(Held(criterion=name, value=value, limit=limit))
            if not value <= limit:
                found.findings.append(
                    Finding(
                        step=step,
                        output=output,
                        at=f"criterion {name}: {value:.3g} apart, limit {limit:.3g}",
                        claimed={"at most": limit},
                        derived={"apart": value},
                    )
                )


def _incomparable(level: str, step: str, output: str, error: Exception) -> Judged:
    """Say of a trace or adapter that comparing it failed: anybody may have written it."""
    told = f"it cannot be compared: {type(error).__name__}: {error}"
    finding = _finding(step, output, "the claimed training", told, None)
    return {level: LevelVerdict(findings=[finding])}


def _finding(step: str, output: str, at: str, claimed: Any, derived: Any) -> Finding:
    return Finding(step=step, output=output, at=at, claimed=claimed, derived=derived)


def _states(
    claim: Claim, claimed: RecordedStep, derived: RecordedStep, store: Store
) -> list[Finding]:
    """Return what differs of the states between that has to be the same on any hardware.

    Their numbers have no limits of their own: they are on the way to an adapter that has.
    """
    told, output = committed(claim, claimed), derived.result.outputs.get("states")
    if told is None or output is None:
        return []
    sides: list[Any] = [
        {f"after step {bound.step}": _described(bound) for bound in states.bounds}
        for states in (told[1], read_states(store.folder(output)))
    ]
    parted = first_difference(sides[0], sides[1])
    return [_finding(claimed.name, "states", *parted)] if parted else []


def _adapter(given: Sequence[ReplayedSegment]) -> Path | None:
    """Return the adapter that one of the segments gave."""
    return next((made.adapter for made in given if made.adapter), None)


def _described(state: State) -> dict[str, Any]:
    """Return what of a state has to be the same on any hardware: dtypes and shapes by name."""
    return {
        group: {name: [dtype, shape] for name, (dtype, shape, _) in tensors.items()}
        for group, tensors in state.tensors.items()
    }


def _shapes(claimed: Path, derived: Path) -> tuple[str, Any, Any] | None:
    """Return the first difference of two adapters in config, and in names and shapes of tensors.

    Neither is calculated, so neither is tolerated; only peft's own version is left out.
    """
    from safetensors import safe_open

    values = []
    for folder in (claimed, derived):
        config = json.loads((folder / CONFIG).read_bytes())
        config.pop("peft_version", None)
        with safe_open(folder / WEIGHTS, "pt") as file:
            slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118
            tensors = {n: [s.get_dtype(), list(s.get_shape())] for n, s in slices.items()}
        values.append({"config": config, "tensor": tensors})
    return first_difference(values[0], values[1])
