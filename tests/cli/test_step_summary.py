"""What a step's line says of a split that is hardly what was meant."""

from __future__ import annotations

from typing import Any

import pytest

from khichdi.cli.step_summary import described
from khichdi.schema.record import StepResult

KEY = "sha256:" + "0" * 64


def split(train: dict[str, int], held: dict[str, int]) -> str:
    sources = {name: {"train": train[name], "held_out": held[name]} for name in train}
    facts: Any = {
        "rows_out": sum(train.values()),
        "held_out": sum(held.values()),
        "sources": sources,
    }
    return described("split", StepResult(key=KEY, outputs={}, facts=facts))


def test_more_rows_for_validation_than_to_train_on_is_a_warning() -> None:
    found = split({"a": 10}, {"a": 400})
    assert found.startswith("10 rows, 400 for validation")
    assert found.endswith("WARNING: more rows for validation than to train on")


def test_a_data_set_without_validation_rows_is_a_warning_where_many_are_held_out() -> None:
    found = split({"alpaca": 500, "ni": 9_000}, {"alpaca": 50, "ni": 0})
    assert found.endswith("WARNING: no row for validation of ni")


@pytest.mark.parametrize(
    ("train", "held"),
    [
        ({"a": 482, "b": 300}, {"a": 30, "b": 18}),
        ({"a": 17, "b": 4}, {"a": 6, "b": 0}),
        ({"a": 100}, {"a": 0}),
    ],
)
def test_an_honest_split_is_no_warning(train: dict[str, int], held: dict[str, int]) -> None:
    assert "WARNING" not in split(train, held)
