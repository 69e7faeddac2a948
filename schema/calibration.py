"""Calibration: measured deviations of honest reruns, and the tolerances derived from them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from .document import Digest, Document, unique
from .seal import Sealed

RERUN = "rerun"
"""The kind of a sample that is an honest rerun."""

FORGERIES = (
    "another seed",
    "1 % of rows swapped",
    "learning rate x 1.1",
    "an epoch less",
    "another base",
    "another r or alpha",
    "order shuffled",
    "adapter with noise",
    "a longer run",
    "somebody else's adapter",
)
"""The kinds of samples that a calibration has to reject."""


class Sample(Document):
    """One comparison of a claimed training with one that was derived.

    A rerun is compared with the run. A control, claimed as the run, is compared with a rerun.

    Attributes:
        kind: `rerun`, or what the claimed training was instead of the recipe's.
        number: which of its kind.
        setting: the substitute for other hardware.
        adapter: digest of the adapter that was trained.
        curve: the differences of the losses at each step, in units of the mean claimed loss.
        values: by criterion, the distance of the two; infinity is the largest number.
    """

    kind: str
    number: int
    setting: str
    adapter: Digest
    curve: tuple[float, ...]
    values: dict[str, float]


class Criterion(Document):
    """One figure, and where its limit is.

    Attributes:
        name: such as `t4.direction`.
        level: the audit's level that it speaks for.
        honest: the largest among reruns.
        controls: by kind of control that it was measured on, the smallest among these.
        separates: kinds that are far enough from every rerun.
        limit: the largest value of a rerun; None where the figure is not used.
        why: in words, where it is not used.
    """

    name: str
    level: str
    honest: float
    controls: dict[str, float]
    separates: tuple[str, ...]
    limit: float | None
    why: str = ""


class Rejected(Document):
    """Rejections of forgeries of one kind by all limits together.

    `ratio` is the separation reached: how many times over its limit the criterion was that
    exceeded it most, in the control that exceeded least.
    """

    samples: int
    missed: int
    by: tuple[str, ...]
    ratio: float


class Calibrated(Document):
    """Limits derived from the samples by the rule; readers derive them again."""

    envelope: tuple[float, ...]
    criteria: Annotated[tuple[Criterion, ...], unique("name")]
    rejected: dict[str, Rejected]


class Calibration(Sealed):
    """All samples and what follows from them, for one recipe hash and one version of a runtime.

    `result_hash` is of the run that the reruns were compared with, `device` what it was done on.
    """

    calibration: Literal[1] = 1
    recipe: str
    recipe_hash: Digest
    result_hash: Digest
    runtime: str
    version: int
    device: str
    probes: int = Field(ge=0, description="Frozen samples that adapters were compared on.")
    answers: int = Field(ge=0, description="Tokens of their answers.")
    samples: tuple[Sample, ...]
    found: Calibrated

    def used(self) -> dict[str, Criterion]:
        """Return the criteria that have a limit."""
        return {one.name: one for one in self.found.criteria if one.limit is not None}
