"""Samplers by buckets and groups: exact counts, and rows that do not depend on their neighbours."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from khichdi.plugins.registry import load_registry
from khichdi.schema.digest import draws
from khichdi.schema.errors import StepError

REGISTRY = load_registry()
QUOTA = [350, 350, 300, 300, 250, 250, 200, 150, 100, 50]
SMALL = [9, 8, 7, 6, 5, 4, 3, 2, 1, 0]


def rows(tasks: dict[str, list[float | None]]) -> list[dict[str, Any]]:
    """Return a row for each score of each task."""
    return [
        {"id": f"ni/{task}.json#{n}", "task": task, "score": score}
        for task, scores in tasks.items()
        for n, score in enumerate(scores)
    ]


def select(name: str, data: list[dict[str, Any]], **params: Any) -> list[dict[str, Any]]:
    """Return the rows that a sampler keeps."""
    table = pa.Table.from_pylist(data)
    sampler = REGISTRY.create("sampler", name, params)
    return [data[i] for i in sampler.select(table, draws(57, [row["id"] for row in data]))]


def ids(data: list[dict[str, Any]]) -> set[str]:
    return {row["id"] for row in data}


def accuracy(right: int, wrong: int) -> list[float | None]:
    return [1.0] * right + [0.0] * wrong


def test_each_task_gives_its_deciles_quota_of_wrong_rows() -> None:
    tasks = {f"t{d}": accuracy(100 * d, 1000 - 100 * d) for d in range(10)}
    kept = select("accuracy-buckets", rows(tasks), quota=QUOTA)
    assert Counter(row["task"] for row in kept) == {f"t{d}": QUOTA[d] for d in range(10)}
    assert {row["score"] for row in kept} == {0.0}


def test_an_accuracy_on_a_bound_is_in_the_upper_decile_and_all_right_in_the_last() -> None:
    tasks = {f"t{d}": accuracy(3 * d, 30 - 3 * d) for d in range(11)}
    kept = select("accuracy-buckets", rows(tasks), quota=list(range(1, 11)), keep="all")
    counts = Counter(row["task"] for row in kept)
    assert counts == {f"t{d}": min(d, 9) + 1 for d in range(11)}


def test_a_task_with_fewer_rows_than_its_quota_gives_them_all() -> None:
    kept = select("accuracy-buckets", rows({"t": accuracy(1, 4)}), quota=QUOTA)
    assert len(kept) == 4


def test_tasks_that_are_too_hard_give_nothing_and_factors_are_exact() -> None:
    data = rows({"hard": accuracy(1, 99), "fair": accuracy(50, 950)})
    params = {"quota": [100, *[0] * 9]}
    assert {r["task"] for r in select("accuracy-buckets", data, drop_below=0.02, **params)} == {
        "fair"
    }
    kept = select("accuracy-buckets", data, factor=0.29, **params)
    assert Counter(row["task"] for row in kept) == {"hard": 29, "fair": 29}


def test_unscored_rows_count_for_no_accuracy_and_are_kept_only_with_all() -> None:
    data = rows({"t": [1.0, 0.0, *[None] * 98]})
    params = {"quota": [0, 0, 0, 0, 0, 60, 0, 0, 0, 0]}
    assert ids(select("accuracy-buckets", data, **params)) == {"ni/t.json#1"}
    assert len(select("accuracy-buckets", data, keep="all", **params)) == 60
    with pytest.raises(StepError, match="no row of task `t` is scored"):
        select("accuracy-buckets", [*rows({"t": [None]}), *rows({"u": [0.0]})], quota=SMALL)


def test_rouge_buckets_take_their_part_of_each_task_rounded_down() -> None:
    scores: list[float | None] = [0.0, 0.1, 0.19, 0.15, 0.05] * 10 + [0.2] * 29 + [0.79, 0.8, 1.0]
    kept = select("rouge-buckets", rows({"a": scores, "b": scores}))
    assert len(kept) == 2 * (20 + 2)
    low = [row for row in kept if row["score"] < 0.2]
    assert Counter(row["task"] for row in low) == {"a": 20, "b": 20}
    assert max(row["score"] for row in kept) == 0.2


def test_an_upper_edge_of_one_takes_one_in() -> None:
    data = rows({"a": [0.5, 1.0, 0.4, None]})
    kept = select("rouge-buckets", data, edges=[0.5, 1], fractions=[1])
    assert sorted(row["score"] for row in kept) == [0.5, 1.0]


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("accuracy-buckets", {"quota": SMALL}),
        ("rouge-buckets", {"edges": [0, 0.6, 1], "fractions": [0.5, 0.2]}),
        ("per-group", {"fraction": 0.3}),
        ("per-group", {"count": 4, "short": "take-all"}),
    ],
)
@given(seed=st.integers(0, 10_000))
def test_neither_order_nor_another_group_changes_what_a_group_keeps(
    name: str, params: dict[str, Any], seed: int
) -> None:
    draw = random.Random(seed)
    tasks = {
        f"t{n}": [float(draw.random() < 0.5) for _ in range(draw.randint(1, 40))] for n in range(4)
    }
    data = rows(tasks)
    kept = ids(select(name, data, **params))
    more = [*rows({"new": [0.0, 1.0] * draw.randint(1, 30)}), *data]
    draw.shuffle(more)
    again = select(name, more, **params)
    assert {row["id"] for row in again if row["task"] != "new"} == kept


@given(count=st.integers(1, 60), others=st.integers(0, 60))
def test_under_a_total_another_group_pushes_rows_out_and_brings_none_in(
    count: int, others: int
) -> None:
    params: dict[str, Any] = {"quota": [30] * 10, "total": count, "short": "take-all"}
    data = rows({"a": accuracy(0, 40), "b": accuracy(20, 20)})
    kept = select("accuracy-buckets", data, **params)
    assert len(kept) == min(count, 50)
    more = select("accuracy-buckets", [*data, *rows({"c": accuracy(0, others)})], **params)
    assert {row["id"] for row in more if row["task"] != "c"} <= ids(kept)
    fewer = select("accuracy-buckets", data, **{**params, "total": max(1, count // 2)})
    assert ids(fewer) <= ids(kept)


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("accuracy-buckets", {"quota": [5] * 10, "total": 6}),
        ("rouge-buckets", {"total": 6, "fractions": [1.0] * 7}),
    ],
)
def test_too_few_rows_for_the_total_are_an_error_or_all_taken(
    name: str, params: dict[str, Any]
) -> None:
    data = rows({"a": accuracy(0, 5)})
    with pytest.raises(StepError, match="6 rows were asked for, and 5 pass its buckets"):
        select(name, data, **params)
    assert len(select(name, data, short="take-all", **params)) == 5


def test_rows_without_scores_or_with_others_are_refused() -> None:
    with pytest.raises(StepError, match="no scores to sample by"):
        select("accuracy-buckets", [{"id": "a", "task": "t"}], quota=SMALL)
    with pytest.raises(StepError, match="scores from 0 to 7 were found"):
        select("rouge-buckets", rows({"t": [0.0, 7.0]}))


def labelled(**groups: int) -> list[dict[str, Any]]:
    return [
        {
            "id": f"d/{name}#{n}",
            "task": "",
            "provenance": name,
            "categories": [name, "x"] if name != "none" else [],
        }
        for name, count in groups.items()
        for n in range(count)
    ]


def test_per_group_keeps_exact_counts_of_what_it_groups_by() -> None:
    data = labelled(a=50, b=10, none=8)
    by = {"by": "provenance"}
    kept = select("per-group", data, count=5, **by)
    assert Counter(row["provenance"] for row in kept) == {"a": 5, "b": 5, "none": 5}
    kept = select("per-group", data, fraction=0.1, by="category")
    assert Counter(row["provenance"] for row in kept) == {"a": 5, "b": 1}
    with pytest.raises(StepError, match="9 rows of provenance `none` were asked for, and there"):
        select("per-group", data, count=9, **by)
    assert len(select("per-group", data, count=9, short="take-all", **by)) == 26


def test_proportional_shares_by_weights_and_by_temperature() -> None:
    data = labelled(a=900, b=100)
    by = {"by": "provenance"}

    def counts(**params: Any) -> dict[str, int]:
        return Counter(row["provenance"] for row in select("proportional", data, **by, **params))

    assert counts(total=11, weights={"a": 1, "b": 2}) == {"a": 4, "b": 7}
    assert counts(total=100, temperature=1) == {"a": 90, "b": 10}
    assert counts(total=100, temperature=2) == {"a": 75, "b": 25}
    assert counts(total=100, weights={"a": 1, "b": 0}) == {"a": 100}
    with pytest.raises(StepError, match="150 rows of provenance `b` were asked for"):
        counts(total=300, weights={"a": 1, "b": 1})
    even = {"weights": {"a": 1, "b": 1}, "short": "take-all"}
    assert counts(total=300, **even) == {"a": 200, "b": 100}
    assert counts(total=3000, **even) == {"a": 900, "b": 100}
    with pytest.raises(StepError, match="provenance `b` has no weight"):
        counts(total=10, weights={"a": 1})
    with pytest.raises(StepError, match="no row has the provenance `c`"):
        counts(total=10, weights={"a": 1, "b": 1, "c": 1})


@given(total=st.integers(1, 400), weight=st.floats(0.1, 9))
def test_proportional_gives_its_total_and_more_of_it_keeps_the_same_rows(
    total: int, weight: float
) -> None:
    data = labelled(a=300, b=200, none=7)
    params = {"by": "provenance", "weights": {"a": weight, "b": 1, "none": 1}, "short": "take-all"}
    kept = select("proportional", data, total=total, **params)
    assert len(kept) == total
    b = {row["id"] for row in kept if row["provenance"] == "b"}
    smallest = sorted(
        (row["id"] for row in data if row["provenance"] == "b"), key=lambda i: draws(57, [i])
    )
    assert b == set(smallest[: len(b)])


def test_a_million_rows_of_sixteen_hundred_tasks() -> None:
    count, tasks = 1_000_000, 1600
    names = pa.array([f"task{n:04}" for n in range(tasks)])
    table = pa.table(
        {
            "task": names.take(pa.array([n % tasks for n in range(count)])),
            "score": pa.array([float(n // tasks % 10 >= n % 10) for n in range(count)]),
        }
    )
    source = random.Random(1)
    draw = [source.getrandbits(64) for _ in range(count)]
    sampler = REGISTRY.create("sampler", "accuracy-buckets", {"quota": QUOTA, "total": 220_000})
    kept = sampler.select(table, draw)
    assert len(set(kept)) == 220_000


@pytest.mark.parametrize(
    ("name", "params", "message"),
    [
        ("accuracy-buckets", {"quota": [1] * 9}, "at least 10 items"),
        ("accuracy-buckets", {"quota": [-1] * 10}, "greater than or equal to 0"),
        ("rouge-buckets", {"edges": [0, 0.5, 0.2]}, "`edges` must rise"),
        ("rouge-buckets", {"edges": [0, 0.5]}, "2 edges make 1 buckets"),
        ("per-group", {}, "exactly one of `count` and `fraction`"),
        ("proportional", {"total": 1}, "exactly one of `weights` and `temperature`"),
        ("proportional", {"total": 1, "weights": {"a": 0}}, "above 0"),
    ],
)
def test_parameters_that_make_no_sense_are_refused(
    name: str, params: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValidationError, match=message):
        REGISTRY.create("sampler", name, params)
