"""The kind that gives each row a number, for samplers to draw by."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from ..base import P, Plugin
from .progress import Progress
from .quantizer import Quantizer
from .workload import Generation

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class ScoringJob:
    """Inputs of a scorer.

    Attributes:
        rows: the data set's rows, with the columns of `khichdi.schema.rows`.
        base: folder of the base model's files, for a scorer with `uses_model`; else None.
        quantizer: how the base is stored, beside `base`.
        seed: of everything random in scoring.
        work: folder that survives a killed run; a job that finds its own parts resumes from them.
        report: called with the number of rows that are done.
    """

    rows: pa.Table
    base: Path | None
    quantizer: Quantizer[Any] | None
    seed: int
    work: Path
    report: Callable[[Progress], None]


@dataclass(frozen=True)
class Scores:
    """Results of a scorer: a finite number for each row, and optionally the model's text.

    A row that was not scored has None for both. `metrics` are numbers for the record; `measured`
    what differs from machine to machine.
    """

    values: Sequence[float | None]
    predictions: Sequence[str | None] | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    measured: Mapping[str, float | str] = field(default_factory=dict)


class Scorer(Plugin[P], ABC):
    """Gives each row a number, for samplers to draw by.

    `uses_model` means that it needs the base model; its key then covers the base's bytes.
    """

    kind = "scorer"
    uses_model: ClassVar[bool] = False

    @abstractmethod
    def score(self, job: ScoringJob) -> Scores:
        """Return a number, or None, for each row, in row order. Raises `StepError`."""

    def generation(self, rows: int | None, tokens_per_row: float) -> Generation | None:
        """Return what it will ask of the model, so that a plan can tell the time.

        None, as here, where it runs no model or cannot say.

        Args:
            rows: that it will score; None where they are not known yet.
            tokens_per_row: tokens of a rendered row on average.
        """
        return None
