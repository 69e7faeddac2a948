"""The kind that measures a model."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..base import P, Plugin
from .progress import Progress, ignore_progress
from .quantizer import Quantizer
from .template import Template

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class EvaluationJob:
    """Inputs of an evaluator; `adapter` is None for the base alone.

    `rows` has the held-out rows, with the columns of `khichdi.schema.rows`.
    """

    base: Path
    adapter: Path | None
    rows: pa.Table
    template: Template[Any]
    quantizer: Quantizer[Any]
    seed: int
    report: Callable[[Progress], None] = ignore_progress


@dataclass(frozen=True)
class EvaluationResult:
    """Metrics by name, and one prediction for each row that was used: id, prediction, scores."""

    metrics: dict[str, float]
    predictions: list[dict[str, Any]]


class Evaluator(Plugin[P], ABC):
    """Measures a model; the run calls it once with the base and once with the adapter."""

    kind = "evaluator"

    @abstractmethod
    def evaluate(self, job: EvaluationJob) -> EvaluationResult:
        """Return metrics and predictions. Raises `StepError`."""

    def metrics_of(self, predictions: list[dict[str, Any]]) -> dict[str, float]:
        """Return the metrics that follow from the predictions alone.

        An audit recomputes them without generating; the others are reported as claimed.
        """
        return {}

    def threads(self) -> int | None:
        """Return the CPU threads that it generates with, on which rounding depends.

        `recipe generate` takes as many. None, as here, where it does not fix their number.
        """
        return None

    def scores_of(self, predictions: list[dict[str, Any]], rows: pa.Table) -> list[dict[str, Any]]:
        """Return predictions with the scores that follow from their text and their rows.

        An audit recomputes them without generating. As here, those given are returned where a
        score needs more than the validation rows.
        """
        return predictions
