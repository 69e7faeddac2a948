"""The judge that an audit asks where bits differ, and what it answers, level by level."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from ...plugins.kinds import ReplayedSegment
from ...schema.audit import Finding, Held, SegmentVerdict
from ...schema.calibration import Calibration
from ...schema.record import RecordedStep
from ..store.store import Store
from .audited_run import Claim

Place = Callable[[str, str], Path]
"""Returns the folder of a step's output, by the names of both."""


@dataclass
class LevelVerdict:
    """The verdict of a calibration on one level.

    Attributes:
        held: figures with their limits.
        findings: figures beyond their limits, and differences where none is tolerated.
        lacking: what could not be decided, and why.
    """

    held: list[Held] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    lacking: list[str] = field(default_factory=list)


Judged = dict[str, LevelVerdict]
"""The verdicts of a calibration, by level."""


class Tolerance(Protocol):
    """Decides whether results with other bits are equivalent to those claimed."""

    @property
    def calibration(self) -> Calibration:
        """Return the calibration whose limits decide."""

    def judge(
        self,
        claim: Claim,
        claimed: RecordedStep,
        derived: RecordedStep,
        store: Store,
        done: Mapping[str, RecordedStep],
    ) -> Judged | None:
        """Return the verdicts on a step that was executed again, by level.

        None where nothing of the step may differ.

        Args:
            claim: the run under audit.
            claimed: the step as the run recorded it.
            derived: the step as it was executed here.
            store: the store that `derived` is in.
            done: the steps that were executed here before it.
        """

    def judge_segments(
        self,
        claim: Claim,
        claimed: RecordedStep,
        replayed: Sequence[SegmentVerdict],
        given: Sequence[ReplayedSegment],
        place: Place,
    ) -> Judged:
        """Return the verdicts on segments of a training that ended in other bits, by level.

        Args:
            claim: the run under audit.
            claimed: the training as the run recorded it.
            replayed: the segments, with their distances from the claim.
            given: the results of the segments here.
            place: finds the training's inputs.
        """
