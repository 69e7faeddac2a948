"""The report of an audit: level by level, whether the claims of a run hold, and on what basis."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, JsonValue

from .document import Digest, Document

LEVELS = (
    "recipe",
    "plan",
    "environment",
    "sources",
    "data",
    "batches",
    "base weights",
    "starting weights",
    "steps",
    "adapter",
    "exports",
    "metrics",
)
"""From the request to the result. The first that diverged is where claim and audit part.

`base weights` are the pinned files of the base model; `starting weights` are the tensors that
training starts from: the base as quantized, and the adapter before its first step.
"""

BEFORE_TRAINING = LEVELS[LEVELS.index("sources") : LEVELS.index("starting weights")]
"""Levels of what training starts from, which an audit of segments derives first."""

Verdict = Literal["identical", "equivalent", "diverged", "not run", "unverifiable"]
"""`equivalent` needs calibrated limits, and is never given without."""

Basis = Literal["read", "hashed", "sampled", "derived", "executed"]
"""How a level was checked, weakest first.

    read      a digest in one document agrees with another; the bytes were not here
    hashed    the bytes are those that the record claims; how they were made was not checked
    sampled   the same, and k of n parts were executed again, drawn after the claim was made
    derived   recomputed from documents and pinned bytes alone
    executed  every step of the level was executed again
"""
STRENGTH: tuple[Basis, ...] = ("read", "hashed", "sampled", "derived", "executed")
FULL: tuple[Basis, ...] = ("derived", "executed")

Mode = Literal["bytes", "segments", "rerun"]
"""The execution that an audit was asked for: none, segments of the training, or every step."""

LARGEST = 1e300
"""Stands for an infinite distance, which JSON cannot express, and for values without a distance."""


class Finding(Document):
    """One thing that is not as claimed.

    Attributes:
        step: the plan's step, where it is about one.
        output: the step's output, where it is about one.
        at: the file, row, tensor, training step or field.
        claimed: the value in the record, or in an artifact that it names.
        derived: the value found instead.
    """

    step: str | None = None
    output: str | None = None
    at: str
    claimed: JsonValue = None
    derived: JsonValue = None

    def where(self) -> str:
        """Return the place in words: `step data/x/read#rows, row 7`."""
        name = f"step {self.step}" if self.step else ""
        if self.step and self.output:
            name += f"#{self.output}"
        return f"{name}, {self.at}" if name else self.at


class Held(Document):
    """One statistic of the distance of two trainings, with its calibrated limit."""

    criterion: str
    value: float
    limit: float


class LevelReport(Document):
    """One level of the ladder; `where` is the place of its first finding.

    `criteria` are there where bits differ and a calibration decided. `sample` is (k, n) where k of
    n parts were executed. `claimed` names figures that the audit neither recomputed nor executed.
    """

    level: str
    verdict: Verdict
    basis: Basis | None = None
    sample: tuple[int, int] | None = None
    claimed: tuple[str, ...] = ()
    checked: int = Field(0, ge=0, description="Claims that were compared.")
    detail: str = ""
    where: str | None = None
    findings: tuple[Finding, ...] = ()
    criteria: tuple[Held, ...] = ()


class SegmentVerdict(Document):
    """A segment of a training that was to be executed again, with the outcome."""

    segment: int = Field(ge=1, description="Its number, from 1.")
    first: int = Field(ge=1, description="Its first optimizer step.")
    last: int = Field(ge=1, description="Its last optimizer step.")
    because: Literal["drawn", "adapter"] = Field(
        description="Whether it was drawn, or executed because the adapter comes out of it."
    )
    verdict: Literal["identical", "equivalent", "diverged", "not run"] = "not run"
    error: float | None = Field(
        None,
        description="Distance of the trained update from the claim, |derived - claimed| / "
        "|claimed - start| over the trained tensors (|derived - claimed| / |claimed| for the first "
        "segment, whose start is not kept); null where the state that it ends in is not kept.",
    )
    state_error: float | None = Field(
        None,
        description="The largest |derived - claimed| / |claimed| of any other tensor or number of "
        "the state that it ends in, such as an optimizer's moment; null where that is not kept.",
    )


class Odds(Document):
    """With which probability a draw finds at least one of so many forged segments."""

    forged: int = Field(ge=1)
    probability: float = Field(ge=0, le=1)


class SegmentReplay(Document):
    """Segments of one training executed again, and what that would have caught.

    The draw: of each segment, the digest of kind `segment-draw` of {nonce, result, segment, step};
    those with the smallest are drawn. `replayed` has one segment more where the adapter comes out
    of one that was not drawn; `odds` do not count it.
    """

    step: str = Field(description="The plan's step that trained.")
    result_hash: Digest = Field(description="Commitment of the run.")
    nonce: str = Field(description="Nonce added by the auditor, after the run.")
    nonce_from: Literal["system", "given"] = Field(
        description="Whether the nonce came from the operating system or was given."
    )
    steps: int = Field(description="Optimizer steps of the training.")
    segments: int = Field(description="Segments of the training.")
    drawn: tuple[int, ...] = Field(description="The segments drawn.")
    replayed: tuple[SegmentVerdict, ...] = Field(description="Result of each.")
    odds: tuple[Odds, ...] = Field(description="For every number of forged segments.")
    surely_caught: int = Field(
        description="The smallest number of forged segments of which one is found with a "
        "probability of 95 % or more."
    )
    why_not: str = Field("", description="Why the segments could not be replayed here.")


class AuditReport(Document):
    """Audit report; `verdict` is the worst of the audited levels, except the environment.

    Attributes:
        mode: the requested execution.
        basis: the weakest basis among the levels that hold.
        passed: whether every level was derived or executed in full, and holds.
        calibration: the seal of the calibration that the audit was given.
        claimed: fields that the run only claims, by kind of claim (`khichdi.schema.claims`).
    """

    audit: Literal[1] = 1
    subject: str
    recipe: str
    recipe_hash: Digest
    result_hash: Digest
    verdict: Verdict
    mode: Mode = "bytes"
    basis: Basis | None = None
    passed: bool = False
    where: str | None = None
    calibration: Digest | None = None
    claimed: dict[str, tuple[str, ...]] = {}
    levels: tuple[LevelReport, ...]
    replays: tuple[SegmentReplay, ...] = ()

    def first_diverged(self) -> LevelReport | None:
        """Return the first level that diverged."""
        return next((level for level in self.levels if level.verdict == "diverged"), None)

    def claimed_figures(self) -> tuple[str, ...]:
        """Return the figures that the audit neither recomputed nor executed."""
        return tuple(name for level in self.levels for name in level.claimed)

    def not_in_full(self) -> tuple[LevelReport, ...]:
        """Return the levels that keep the audit from having passed."""
        return tuple(level for level in self.levels if not in_full(level))


def _judged(levels: tuple[LevelReport, ...]) -> tuple[LevelReport, ...]:
    """Return the levels that decide; a different environment alone makes no claim false."""
    return tuple(level for level in levels if level.level != "environment")


def overall(levels: tuple[LevelReport, ...]) -> Verdict:
    """Return the worst verdict."""
    found = [level.verdict for level in _judged(levels)]
    order: tuple[Verdict, ...] = ("diverged", "unverifiable", "equivalent", "identical")
    return next((verdict for verdict in order if verdict in found), "not run")


def weakest(levels: tuple[LevelReport, ...]) -> Basis | None:
    """Return the weakest basis of the levels that hold."""
    found = [level.basis for level in _judged(levels) if holds(level)]
    return min((basis for basis in found if basis), key=STRENGTH.index, default=None)


def holds(level: LevelReport) -> bool:
    """Return whether a level is as claimed."""
    return level.verdict in ("identical", "equivalent")


def in_full(level: LevelReport) -> bool:
    """Return whether a level holds, and was derived or executed without exception."""
    return holds(level) and level.basis in FULL and not level.claimed
