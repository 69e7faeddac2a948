"""The kind that measures a model."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from ..base import P, Plugin
from .progress import Progress, ignore_progress
from .quantizer import Quantizer
from .template import Template
from .workload import Generation

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class EvaluationJob:
    """Inputs of an evaluator; `adapter` is None for the base alone.

    `rows` has the held-out rows, with the columns of `khichdi.schema.rows`; for an evaluator that
    uses none, it is empty and `template` is None. `files` has the folders of an evaluator's
    sources: by the field of `Evaluator.sources`, and by name in it.
    """

    base: Path
    adapter: Path | None
    rows: pa.Table
    template: Template[Any]
    quantizer: Quantizer[Any]
    seed: int
    files: Mapping[str, Mapping[str, Path]] = field(default_factory=dict)
    report: Callable[[Progress], None] = ignore_progress


@dataclass(frozen=True)
class EvaluationResult:
    """Metrics by name, and one prediction for each row that was used.

    A prediction has `id` and `prediction`, and its scores as numbers by name. Where its row is not
    one of the validation rows, it has its own `prompt` and `references` (a list of texts). Where
    there are several tasks, `group` is its task, whose metrics are named `<group>.<score>`.
    """

    metrics: dict[str, float]
    predictions: list[dict[str, Any]]


class Evaluator(Plugin[P], ABC):
    """Measures a model; the run calls it once with the base and once with the adapter.

    Attributes:
        uses_rows: whether it is about the validation rows. One that is not needs no validation set,
            and neither rows nor template are part of its key.
        sources: further bytes that it works with, as name -> description. Each is a mapping of
            named sources beside the parameters in the recipe; they are pinned in the lock like any
            other, and their bytes are part of the evaluator's key.
    """

    kind = "evaluator"
    uses_rows: ClassVar[bool] = True
    sources: ClassVar[Mapping[str, str]] = {}

    @classmethod
    def example_step(cls) -> dict[str, Any]:
        """Return a whole step, with its sources."""
        files = {name: {"one": {"use": "files", "include": [f"{name}/*"]}} for name in cls.sources}
        return {"use": cls.name, **files, **cls.example}

    @abstractmethod
    def evaluate(self, job: EvaluationJob) -> EvaluationResult:
        """Return metrics and predictions. Raises `StepError`."""

    def metrics_of(self, predictions: list[dict[str, Any]]) -> dict[str, float]:
        """Return the metrics that follow from the predictions alone.

        An audit recomputes them without generating; the others are reported as claimed.
        """
        return {}

    def generation(self, rows: int | None, tokens_per_row: float) -> Generation | None:
        """Return what it will ask of the model, so that a plan can tell the time.

        None, as here, where it generates nothing or cannot say.

        Args:
            rows: validation rows; None where they are not known yet.
            tokens_per_row: tokens of a rendered row on average.
        """
        return None

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
