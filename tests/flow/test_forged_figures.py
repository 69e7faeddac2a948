"""Figures that do not follow from what the steps made, by what the forger wanted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from forgery import change_values, forge, retrain, rewrite, step

from khichdi.runtime.training_states import read_states
from khichdi.schema.training_states import INDEX

from .forging import Ran
from .test_audit import artifact, audit, level, run_of

FIGURES: dict[str, tuple[str, str, Callable[[Any], None]]] = {
    "a lower validation loss": (
        "steps", "metrics.eval_loss", lambda facts: facts["metrics"].update(eval_loss=0.0001),
    ),
    "fewer dropped rows": (
        "data", "drops", lambda facts: facts["drops"].update({"not-sampled": 0}),
    ),
    "more trained tokens": (
        "batches", "train.tokens", lambda facts: facts["train"].update(tokens=9),
    ),
    "more rows in": ("data", "rows_in", lambda facts: facts.update(rows_in=10**6)),
}  # fmt: skip
STEPS = {"data": "data/capitals/sample", "batches": "pack", "steps": "train"}


@pytest.mark.parametrize("wanted", FIGURES)
def test_a_figure_that_does_not_follow_from_the_artifacts(own_run: Ran, wanted: str) -> None:
    expected, at, change = FIGURES[wanted]

    def claim(record: Any) -> None:
        facts = step(record, STEPS[expected])["result"]["facts"]
        change(facts)
        record["metrics"].update(facts.get("metrics", {}))

    rewrite(run_of(own_run), "record.json", claim)
    assert audit(own_run[0], status=1)["where"] == f"{expected}: step {STEPS[expected]}, {at}"


def test_a_score_that_the_predictions_do_not_give(own_run: Ran) -> None:
    name = "evaluate/generate/adapter"
    better = {"exact_match": 1.0}
    forge(
        run_of(own_run), own_run[0].folder / "store", name, "metrics",
        change_values(lambda values: values.update(better)),
    )  # fmt: skip

    def claim(record: Any) -> None:
        step(record, name)["result"]["facts"]["metrics"].update(better)
        record["metrics"].update(better)

    rewrite(run_of(own_run), "record.json", claim)
    found = audit(own_run[0], status=1)
    assert found["where"] == f"metrics: step {name}, metrics.exact_match"


def test_a_figure_that_nothing_can_derive_is_named_as_claimed(own_run: Ran) -> None:
    def claim(record: Any) -> None:
        step(record, "train")["result"]["facts"]["metrics"].update(eval_loss_before=9.0)
        record["metrics"].update(eval_loss_before=9.0)

    rewrite(run_of(own_run), "record.json", claim)
    assert "train metrics.eval_loss_before" in level(audit(own_run[0]), "steps")["claimed"]


def test_a_trace_that_metrics_cannot_be_recomputed_from(own_run: Ran) -> None:
    forget = change_values(lambda trace: [entry.pop("epoch") for entry in trace])
    forge(run_of(own_run), own_run[0].folder / "store", "train", "trace", forget)
    found = audit(own_run[0], status=1)
    assert found["where"] == "steps: step train, metrics that follow from its output"


def test_a_training_of_more_steps_than_the_recipe_has(own_run: Ran) -> None:
    store = own_run[0].folder / "store"
    states = read_states(artifact(own_run, "train", "states"))
    last = states.bounds[-1]
    longer = last.model_copy(update={"step": last.step + 3})

    def extend_states(folder: Path) -> None:
        bounds = (*states.bounds[:-1], longer)
        text = states.model_copy(update={"bounds": bounds}).model_dump_json(indent=1)
        (folder / INDEX).write_text(text + "\n")

    def extend(trace: Any) -> None:
        state = trace[-1].pop("state")
        assert state == last.digest()
        trace += [{**trace[-1], "step": last.step + more} for more in (1, 2, 3)]
        trace[-1]["state"] = longer.digest()

    forge(run_of(own_run), store, "train", "states", extend_states)
    retrain(run_of(own_run), store, extend)
    assert audit(own_run[0])["verdict"] == "identical"
    found = audit(own_run[0], "--segments", "4", status=1)
    assert found["where"] == "steps: step train#trace, training steps"
