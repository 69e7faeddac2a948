"""Audit report: level by level, whether a record's claims can be derived again."""

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
    "quantized weights",
    "steps",
    "adapter",
    "metrics",
)
"""From what was asked to what came out; the first that diverged is where two worlds part."""

Verdict = Literal["identical", "equivalent", "diverged", "not run", "unverifiable"]
"""`equivalent` needs calibrated limits, and is never given without."""

Basis = Literal["derived", "hashed", "sampled", "executed"]
"""What a verdict rests on: the claim derived again from the documents, bytes hashed again and
compared with the claim, parts of the step executed again that were drawn after the claim was made
(all else hashed), or the whole step executed again."""


LARGEST = 1e300
"""Stands for an infinite distance, which JSON has no number for, and of what cannot be compared."""


class Finding(Document):
    """One thing that is not as claimed.

    Attributes:
        step: the plan's step, where it is about one.
        output: the step's output, where it is about one.
        at: the file, row, tensor, training step or field.
        claimed: what the record says, or the artifact that it names.
        derived: what was found instead.
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

    `criteria` are there where bits differ and a calibration decided.
    """

    level: str
    verdict: Verdict
    basis: Basis | None = None
    checked: int = Field(0, ge=0, description="Claims that were compared.")
    detail: str = ""
    where: str | None = None
    findings: tuple[Finding, ...] = ()
    criteria: tuple[Held, ...] = ()


class SegmentVerdict(Document):
    """A segment of a training that was to be executed again, and what came of it."""

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

    `calibration` is the seal of the calibration that the audit was given.
    """

    audit: Literal[1] = 1
    subject: str
    recipe: str
    recipe_hash: Digest
    result_hash: Digest
    verdict: Verdict
    where: str | None = None
    calibration: Digest | None = None
    levels: tuple[LevelReport, ...]
    replays: tuple[SegmentReplay, ...] = ()

    def first_diverged(self) -> LevelReport | None:
        """Return the first level that diverged."""
        return next((level for level in self.levels if level.verdict == "diverged"), None)


def overall(levels: tuple[LevelReport, ...]) -> Verdict:
    """Return the worst verdict; another environment alone makes no claim false."""
    said = [level.verdict for level in levels if level.level != "environment"]
    order: tuple[Verdict, ...] = ("diverged", "unverifiable", "equivalent", "identical")
    return next((verdict for verdict in order if verdict in said), "not run")
