"""Runs are compared row by row, with intervals that are the same each time."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from evaluated import row, scored, write_run
from hypothesis import given
from hypothesis import strategies as st

from khichdi.project.comparison import compare
from khichdi.project.paired_bootstrap import paired_interval
from khichdi.project.run_lookup import Run, open_run
from khichdi.runtime.store.store import Store
from khichdi.schema.errors import InputError

ROWS = [row(number, f"question {number}", "yes") for number in range(40)]


def answers(right: set[int], rows: range = range(40)) -> list[dict[str, Any]]:
    return [scored(n, "yes" if n in right else "no", n in right) for n in rows]


def write(store: Store, name: str, adapter: list[Any], base: list[Any], rows: Any = ROWS) -> Run:
    steps = {"evaluate/generate/base": base, "evaluate/generate/adapter": adapter}
    return open_run(write_run(store, name, rows, steps))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def test_rows_are_matched_by_id_whatever_their_order(store: Store) -> None:
    one = write(store, "one", answers(set(range(10))), answers(set()))
    shuffled = answers(set(range(5, 25)))
    random.Random(1).shuffle(shuffled)
    other = write(store, "other", shuffled, answers(set()))
    (pair,) = compare([one, other], ["a", "b"]).pairs
    assert {(r.id, r.to) for r in pair.changed} == {
        *((f"d/f#{n}", "wrong") for n in range(5)),
        *((f"d/f#{n}", "right") for n in range(10, 25)),
    }
    (metric,) = pair.metrics
    assert (metric.name, metric.before, metric.after) == ("exact_match", 0.25, 0.5)
    assert metric.difference == pytest.approx(0.25)
    assert metric.rows == 40
    assert metric.interval is not None
    assert -0.05 < metric.interval[0] < 0.25 < metric.interval[1] < 0.55
    assert compare([one, other], ["a", "b"]).pairs == [pair]


def test_one_run_is_compared_with_its_base(store: Store) -> None:
    run = write(store, "one", answers({1, 2, 3}), answers({3}))
    found = compare([run])
    assert [model.label for model in found.models] == ["base", "adapter"]
    assert found.metrics == {"exact_match": [1 / 40, 3 / 40]}
    assert [(r.id, r.to, r.before, r.after) for r in found.pairs[0].changed] == [
        ("d/f#1", "right", "no", "yes"),
        ("d/f#2", "right", "no", "yes"),
    ]
    assert found.pairs[0].recipe == []


def test_rows_that_are_not_shared_are_counted_and_left_out(store: Store) -> None:
    one = write(store, "one", answers(set(range(20))), answers(set()))
    changed = [*ROWS[:30]]
    changed[0] = row(0, "another question", "yes")
    other = write(store, "other", answers(set(range(15)), range(30)), answers(set()), changed)
    (pair,) = compare([one, other]).pairs
    (matched,) = pair.matched
    assert (matched.shared, matched.only_before, matched.only_after, matched.altered) == (
        29, 10, 0, 1,
    )  # fmt: skip
    (metric,) = pair.metrics
    assert (metric.before, metric.after, metric.rows) == (0.5, 0.5, 29)
    assert metric.difference == pytest.approx(-5 / 29)
    assert pair.recipe is None
    assert "the recipes cannot be compared" in str(pair.note)


def test_several_runs_are_compared_with_the_first_and_shown_beside_the_base(store: Store) -> None:
    runs = [
        write(store, name, answers(set(range(n))), answers({0})) for n, name in enumerate("abc")
    ]
    found = compare(runs, with_base=True)
    assert found.metrics == {"exact_match": [1 / 40, 0.0, 1 / 40, 2 / 40]}
    assert [(pair.before, pair.after) for pair in found.pairs] == [("a", "b"), ("a", "c")]


def test_runs_without_the_evaluator_are_refused(store: Store) -> None:
    run = write(store, "one", answers(set()), answers(set()))
    with pytest.raises(InputError, match="no evaluation by `choices`"):
        compare([run], evaluator="choices")
    none = open_run(write_run(store, "none", ROWS, {}))
    with pytest.raises(InputError, match="run none has no evaluation"):
        compare([run, none])
    with pytest.raises(InputError, match="between 0 and 1"):
        compare([run], confidence=95)


@given(
    st.lists(
        st.tuples(st.floats(0, 1, width=32), st.floats(0, 1, width=32)), min_size=2, max_size=30
    )
)
def test_an_interval_turns_round_with_the_sides_and_is_around_the_difference(
    scores: list[tuple[float, float]],
) -> None:
    before, after = zip(*scores, strict=True)
    found = paired_interval(before, after, resamples=199)
    assert found == paired_interval(before, after, resamples=199)
    assert found is not None
    low, high = found
    differences = [b - a for a, b in scores]
    assert min(differences) - 1e-6 <= low <= high <= max(differences) + 1e-6
    assert paired_interval(before, before, resamples=199) == (0.0, 0.0)


def test_an_interval_covers_as_often_as_it_says() -> None:
    """Of 200 draws of 60 rows whose true difference is 0.1, some 190 have it within."""
    draw = random.Random(3)
    covered = 0
    for _ in range(200):
        before = [float(draw.random() < 0.4) for _ in range(60)]
        after = [float(draw.random() < 0.5) for _ in range(60)]
        low, high = paired_interval(before, after, resamples=499) or (0, 0)
        covered += low <= 0.1 <= high
    assert 178 <= covered <= 199


def test_one_row_has_no_interval() -> None:
    assert paired_interval([0.0], [1.0]) is None
    assert paired_interval([], []) is None
