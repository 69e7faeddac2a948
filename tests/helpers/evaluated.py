"""Finished runs with evaluations, written to a store without training anything."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
from row_batches import batch_of

from khichdi.runtime.store.store import Store
from khichdi.runtime.tables import write_table
from khichdi.schema.digest import digest
from khichdi.schema.record import Output, Record, RecordedStep, StepResult

Prediction = Mapping[str, Any]


def row(number: int, question: str, answer: str, **more: Any) -> dict[str, Any]:
    """Return a validation row that says only what matters."""
    return {"id": f"d/f#{number}", "input": question, "output": answer, **more}


def scored(number: int, prediction: str, right: bool, **scores: float) -> dict[str, Any]:
    """Return a prediction of a row."""
    found = {"id": f"d/f#{number}", "prediction": prediction, "exact_match": float(right)}
    return found | scores


def write_run(
    store: Store,
    name: str,
    rows: Sequence[dict[str, Any]],
    evaluations: Mapping[str, Sequence[Prediction]],
) -> Path:
    """Write a run with validation rows, and with predictions by evaluation step; return its folder.

    The metrics of an evaluation are the means of its scores.
    """
    table = pa.Table.from_batches([batch_of(list(rows))])
    steps = [_step("split", "split", {"validation": _table(store, table)})]
    for step, predictions in evaluations.items():
        outputs = {"predictions": _values(store, list(predictions))}
        steps.append(_step(step, "evaluator", outputs, {"metrics": _means(predictions)}))
    record = Record(
        recipe="pico",
        recipe_hash=digest("recipe", name),
        result_hash=digest("result", name),
        seed=1,
        started="2026-03-01T12:00:00+00:00",
        seconds=1.0,
        steps=tuple(steps),
        metrics={},
        plugins=(),
        environment={},
    )
    folder = store.runs / name
    folder.mkdir(parents=True)
    (folder / "record.json").write_text(record.to_text())
    return folder


def _means(predictions: Sequence[Prediction]) -> dict[str, float]:
    names = {n for one in predictions for n, value in one.items() if isinstance(value, float)}
    return {n: sum(one[n] for one in predictions) / len(predictions) for n in sorted(names)}


def _step(
    name: str, kind: str, outputs: dict[str, Output], facts: dict[str, Any] | None = None
) -> RecordedStep:
    return RecordedStep(
        name=name,
        kind=kind,
        plugin=name.split("/")[1] if "/" in name else name,
        version=1,
        seed=None,
        status="ran",
        seconds=0.0,
        result=StepResult(key=digest("step", name), outputs=outputs, facts=facts or {}),
    )


def _table(store: Store, table: pa.Table) -> Output:
    with store.staging() as staging:
        folder = staging / "rows"
        folder.mkdir()
        return store.publish(folder, "rows", write_table(folder, table))


def _values(store: Store, values: Any) -> Output:
    with store.staging() as staging:
        folder = staging / "values"
        folder.mkdir()
        (folder / "values.json").write_text(json.dumps(values), encoding="utf-8")
        return store.publish(folder, "values", digest("values", values))
