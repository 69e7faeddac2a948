from __future__ import annotations

import pyarrow as pa
import pytest
from pydantic import ValidationError

from khichdi.plugins.registry import load_registry
from khichdi.schema.digest import draws
from khichdi.schema.errors import StepError


def select(name, ids, seed=57, **params):
    """Return the ids that a sampler keeps."""
    sampler = load_registry().create("sampler", name, params)
    table = pa.table({"id": ids})
    return {ids[position] for position in sampler.select(table, draws(seed, ids))}


IDS = [f"data/a.jsonl#{n}" for n in range(2000)]


def test_all_keeps_every_row():
    assert select("all", IDS) == set(IDS)


def test_a_count_is_kept_exactly_and_more_rows_asked_for_are_the_same_and_others():
    few, more = select("random", IDS, count=100), select("random", IDS, count=300)
    assert (len(few), len(more)) == (100, 300)
    assert few < more


def test_neither_order_nor_other_rows_change_what_a_fraction_keeps():
    kept = select("random", IDS, fraction=0.25)
    other = [f"data/b.jsonl#{n}" for n in range(500)]
    assert select("random", other + IDS[::-1], fraction=0.25) & set(IDS) == kept
    assert 400 < len(kept) < 600
    assert kept < select("random", IDS, fraction=0.5)
    assert select("random", IDS, fraction=1) == set(IDS)


def test_order_does_not_change_what_a_count_keeps():
    assert select("random", IDS, count=50) == select("random", IDS[::-1], count=50)


def test_another_seed_keeps_other_rows():
    assert select("random", IDS, count=50) != select("random", IDS, seed=58, count=50)


def test_equal_draws_are_kept_in_row_order():
    sampler = load_registry().create("sampler", "random", {"count": 2})
    assert list(sampler.select(pa.table({"id": ["a", "b", "c"]}), [7, 7, 7])) == [0, 1]


def test_too_few_rows_are_an_error_unless_all_are_to_be_taken():
    with pytest.raises(StepError, match="2001 rows were asked for, and there are 2000"):
        select("random", IDS, count=2001)
    assert select("random", IDS, count=2001, short="take-all") == set(IDS)


@pytest.mark.parametrize(
    "params", [{}, {"count": 1, "fraction": 0.5}, {"count": 0}, {"fraction": 0}, {"fraction": 1.5}]
)
def test_parameters_that_make_no_sense_are_refused(params):
    with pytest.raises(ValidationError):
        load_registry().create("sampler", "random", params)


@pytest.mark.parametrize(
    ("rows", "kept"),
    [
        (":3", range(3)),
        (":20%", range(400)),
        ("10%:20%", range(200, 400)),
        ("-2:", range(1998, 2000)),
        ("-1%:", range(1980, 2000)),
        ("1999:5000", range(1999, 2000)),
        ("5:2", range(0)),
        (":0", range(0)),
    ],
)
def test_a_slice_is_that_of_a_split(rows, kept):
    datasets = pytest.importorskip("datasets")
    assert select("slice", IDS, rows=rows) == {IDS[n] for n in kept}
    instruction = datasets.ReadInstruction.from_spec(f"train[{rows}]")
    try:
        (absolute,) = instruction.to_absolute({"train": 2000})
    except ValueError:  # an empty one
        return
    theirs = range(*slice(absolute.from_, absolute.to).indices(2000))
    assert theirs == kept


def test_how_many_rows_a_slice_has_is_known_before():
    sampler = load_registry().create("sampler", "slice", {"rows": "100:300"})
    assert (sampler.asked(), sampler.expected(None)) == (200, (0, 200))
    assert sampler.expected(150) == (50, 50)
    part = load_registry().create("sampler", "slice", {"rows": ":20%"})
    assert (part.asked(), part.expected(1000)) == (None, (200, 200))


@pytest.mark.parametrize("rows", [":", "a:b", "5", ":120%", "1.5:2"])
def test_what_is_no_range_of_rows_is_refused(rows):
    with pytest.raises(ValidationError):
        load_registry().create("sampler", "slice", {"rows": rows})
