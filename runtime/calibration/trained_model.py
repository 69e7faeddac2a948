"""Load the results of one training for comparison."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...schema.record import RecordedStep
from ..audit.audited_run import Claim
from ..audit.segment_distance import Errors
from ..store.store import Store

Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class TrainedModel:
    """One training.

    Attributes:
        adapter: the folder of the adapter, in peft's format.
        trace: an entry for each optimizer step.
        metrics: the runtime's metrics.
        scores: by evaluation, its metrics and its rows.
        errors: by number, the errors of segments that were executed again, for a calibration: of
            the run's where this is a rerun, and of its own, as the recipe has them, where not.
    """

    adapter: Path
    trace: list[dict[str, Any]]
    metrics: dict[str, float]
    scores: dict[str, tuple[dict[str, float], Rows]] = field(default_factory=dict)
    errors: dict[int, Errors] = field(default_factory=dict)

    def write(self, path: Path) -> None:
        """Write all but the adapter to a file."""
        value = {
            "trace": self.trace,
            "metrics": self.metrics,
            "scores": self.scores,
            "errors": list(self.errors.items()),
        }
        path.write_text(json.dumps(value), encoding="utf-8")


def read_training(folder: Path) -> TrainedModel:
    """Return a worker's results in a folder."""
    value = json.loads((folder / "training.json").read_bytes())
    scores = {name: (numbers, rows) for name, (numbers, rows) in value["scores"].items()}
    errors = {number: Errors(*told) for number, told in value["errors"]}
    return TrainedModel(folder / "adapter", value["trace"], value["metrics"], scores, errors)


def training_of(step: RecordedStep, claim: Claim) -> TrainedModel | None:
    """Return a claimed training; None where its trace or adapter is not here."""
    adapter = claim.artifact(step.result.outputs["adapter"])
    trace = claim.artifact(step.result.outputs["trace"])
    if adapter is None or trace is None:
        return None
    return TrainedModel(adapter, _values(trace), _numbers(step))


def training_in(step: RecordedStep, store: Store) -> TrainedModel:
    """Return a training that was done in a store."""
    outputs = step.result.outputs
    trace = _values(store.folder(outputs["trace"]))
    return TrainedModel(store.folder(outputs["adapter"]), trace, _numbers(step))


def scores_of(step: RecordedStep, claim: Claim) -> tuple[dict[str, float], Rows] | None:
    """Return what a claimed evaluation gave; None where its rows are not here."""
    folder = claim.artifact(step.result.outputs["predictions"])
    return None if folder is None else (_numbers(step), _values(folder))


def scores_in(step: RecordedStep, store: Store) -> tuple[dict[str, float], Rows]:
    """Return what an evaluation in a store gave."""
    return _numbers(step), _values(store.folder(step.result.outputs["predictions"]))


def _values(folder: Path) -> Any:
    return json.loads((folder / "values.json").read_bytes())


def _numbers(step: RecordedStep) -> dict[str, float]:
    found: Any = step.result.facts.get("metrics") or {}
    return dict(found)
