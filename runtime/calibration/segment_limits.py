"""Judge replayed segments with other bits against a calibration.

Each is held to the limits of one segment, its losses to the envelope of whole reruns, which
drift further, and the adapter to the limits of one that was trained from the start.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ...plugins.kinds import ReplayedSegment
from ...schema.audit import SegmentVerdict
from ...schema.training_states import States
from ..adapter_files import adapter_digest
from ..audit.segment_distance import Errors
from ..audit.tolerance import Judged, LevelVerdict
from .invariants import adapters_part, state_parts
from .limits import Limits
from .statistics import SEGMENTS, curve, exact, first_step, of_segments, outside
from .trained_model import TrainedModel

Compare = Callable[[Path, Path], dict[str, float]]
"""Returns the figures of a claimed and a derived adapter, by name."""


@dataclass(frozen=True)
class ReplayedSegments:
    """Segments that were executed again.

    Attributes:
        claimed: the training as recorded.
        states: the states between its segments, as recorded.
        verdicts: the segments, with their distances from the claim.
        given: what they gave here.
    """

    claimed: TrainedModel
    states: States
    verdicts: Sequence[SegmentVerdict]
    given: Sequence[ReplayedSegment]

    def judge(self, limits: Limits, compare: Compare) -> Judged:
        """Return a calibration's verdicts on them, by level.

        Args:
            limits: the calibration's.
            compare: how two adapters are compared.
        """
        found = {"steps": LevelVerdict(), "adapter": LevelVerdict()}
        self._hold_exactly(limits, found)
        if found["steps"].findings or found["adapter"].findings:
            return found
        errors = {one.segment: Errors(one.error, one.state_error) for one in self.verdicts}
        values = of_segments(errors) | self._losses(limits.calibration.found.envelope)
        found["steps"].lacking += [
            f"the state that segment {one.segment} ended in here"
            for one in self.verdicts
            if one.error is None and self.states.bounds[one.segment - 1].kept
        ]
        limits.demand([name for name in values if name in SEGMENTS], found["steps"])
        limits.hold("steps", "trace", values, values.keys(), found["steps"])
        adapter = self.adapter
        if adapter and adapter_digest(adapter) != adapter_digest(self.claimed.adapter):
            values = compare(self.claimed.adapter, adapter)
            names = limits.calibration.used().keys()
            limits.hold("adapter", "adapter", values, names, found["adapter"])
        return found

    @property
    def adapter(self) -> Path | None:
        """Return the adapter that one of the segments gave."""
        return next((made.adapter for made in self.given if made.adapter), None)

    def _hold_exactly(self, limits: Limits, found: Judged) -> None:
        """Find what differs where nothing is tolerated on any hardware."""
        trace = self.claimed.trace
        for one, made in zip(self.verdicts, self.given, strict=True):
            told = TrainedModel(self.claimed.adapter, trace[one.first - 1 : one.last], {})
            ours = TrainedModel(self.claimed.adapter, json.loads(json.dumps(made.trace)), {})
            parts = [("trace", *at) for at in exact(told, ours)]
            parted = state_parts(self.states.bounds[one.segment - 1], made.state)
            parts += [("states", *parted)] if parted else []
            found["steps"].findings += [limits.finding(*part) for part in parts]
        other = adapters_part(self.claimed.adapter, self.adapter) if self.adapter else None
        if other is not None:
            found["adapter"].findings.append(limits.finding("adapter", *other))

    def _losses(self, envelope: Sequence[float]) -> dict[str, float]:
        """Return what the steps of segments say beside their errors."""
        trace = self.claimed.trace
        made = {entry["step"]: entry for one in self.given for entry in one.trace}
        here = [made.get(entry["step"], entry) for entry in trace]
        whole = curve(TrainedModel(Path(), trace, {}), TrainedModel(Path(), here, {}))
        steps = [step for one in self.verdicts for step in range(one.first, one.last + 1)]
        found = first_step(trace[0], made[1]) if 1 in made else {}
        pairs = [(whole[step - 1], envelope[step - 1]) for step in steps if step <= len(envelope)]
        return {**found, "t3.outside": outside(*map(list, zip(*pairs, strict=True)))}
