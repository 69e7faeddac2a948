from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path

import pyarrow as pa
import pytest
from pydantic import ValidationError

from khichdi.plugins import Drop
from khichdi.plugins.builtin.filter.base.scripts import WORD
from khichdi.plugins.builtin.filter.base.word_splitting import count_words
from khichdi.plugins.registry import load_registry
from khichdi.schema.rows import COLUMNS, row_schema

EMPTY = {"string": "", "list": [], "turns": []}


def batch(*rows):
    """Return a batch of the full schema from rows that say only what matters."""
    full = [{name: EMPTY[kind] for name, kind in COLUMNS.items()} | row for row in rows]
    return pa.RecordBatch.from_pylist(full, schema=row_schema())


def create(name, **params):
    return load_registry().create("filter", name, params)


# ---- words ----------------------------------------------------------------------------------


def test_words_are_counted_around_every_character():
    characters = [chr(n) for n in range(sys.maxunicode + 1) if not 0xD800 <= n < 0xE000]
    texts = [f"a{c}b {c} c{c}" for c in characters] + ["", " ", "\n\t", "a", "  a  b\u3000"]
    rows = pa.RecordBatch.from_pydict({"instruction": texts})

    assert count_words(rows, ["instruction"]).tolist() == [
        len(re.findall(WORD, text)) for text in texts
    ]


def test_words_of_real_texts_are_counted_one_by_one():
    folder = os.environ.get("KHICHDI_TEST_DATA")
    if not folder:
        pytest.skip("KHICHDI_TEST_DATA is not set: no real data to read")
    records = json.loads(Path(folder, "lima/lima.json").read_text())
    rows = batch(*({"instruction": r["instruction"], "output": r["output"]} for r in records))

    counts = count_words(rows, ["instruction", "output"])

    assert counts.tolist() == [
        len(re.findall(WORD, r["instruction"])) + len(re.findall(WORD, r["output"]))
        for r in records
    ]


def test_max_words_keeps_rows_below_the_bound():
    rows = batch({"input": "a b"}, {"instruction": "a", "input": "b c"}, {"output": "a b c d"})
    assert create("max-words", below=3).reasons(rows) == [None, "too-long", None]


def test_min_words_keeps_rows_at_the_bound():
    rows = batch({"output": "a b"}, {"output": " a "}, {"output": ""})
    found = create("min-words", at_least=2).reasons(rows)
    assert found == [None, "too-short", "too-short"]


def test_a_slice_and_an_empty_batch_are_counted_too():
    rows = batch({"output": "a"}, {"output": "a b c"}, {"output": "a b"})
    filter_ = create("min-words", at_least=2)
    assert filter_.reasons(rows.slice(1)) == [None, None]
    assert filter_.reasons(rows.slice(3)) == []


# ---- labels ---------------------------------------------------------------------------------

LANGUAGES = [
    {"input_languages": ["English"], "output_languages": ["English"]},
    {"input_languages": ["English", "Galician"], "output_languages": ["English"]},
    {"input_languages": ["English"], "output_languages": ["Japanese"]},
    {"input_languages": ["Hindi"], "output_languages": ["Hindi"]},
    {},
]


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        (
            {"input": ["English"], "output": ["English"]},
            [None, "language-input", "language-output", "language-input", "language-input"],
        ),
        (
            {"output": ["English", "Hindi"]},
            [None, None, "language-output", None, "language-output"],
        ),
        (
            {"input": ["English"], "undeclared": "keep"},
            [None, "language-input", None, "language-input", None],
        ),
    ],
)
def test_rows_in_other_languages_are_dropped(params, expected):
    assert create("languages", **params).reasons(batch(*LANGUAGES)) == expected


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({"include": ["A"]}, [None, None, "category-not-included", "category-not-included"]),
        ({"exclude": ["B"]}, [None, "category-excluded", "category-excluded", None]),
        (
            {"include": ["A"], "exclude": ["B"]},
            [None, "category-excluded", "category-excluded", "category-not-included"],
        ),
    ],
)
def test_categories_choose_rows(params, expected):
    rows = batch(*({"categories": names} for names in (["A"], ["A", "B"], ["B"], [])))
    assert create("categories", **params).reasons(rows) == expected


# ---- duplicates -----------------------------------------------------------------------------


def test_the_first_of_equal_rows_stays_across_batches():
    filter_ = create("exact-duplicates", by=["input"])

    rows = batch(*({"id": str(n), "input": text} for n, text in enumerate("abaabc")))

    first, second = filter_.reasons(rows.slice(0, 3)), filter_.reasons(rows.slice(3))

    assert first == [None, None, Drop("duplicate", "0")]
    assert second == [Drop("duplicate", "0"), Drop("duplicate", "1"), None]


def test_how_rows_are_cut_into_batches_does_not_matter():
    rows = [{"input": str(n * n % 7)} for n in range(40)]
    whole = create("exact-duplicates", by=["input"]).reasons(batch(*rows))
    filter_ = create("exact-duplicates", by=["input"])
    one_by_one = [reason for row in rows for reason in filter_.reasons(batch(row))]
    assert whole == one_by_one


def test_texts_that_only_join_to_the_same_are_not_duplicates():
    rows = batch({"instruction": "ab", "input": "c"}, {"instruction": "a", "input": "bc"})
    assert create("exact-duplicates").reasons(rows) == [None, None]


# ---- where ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("params", "kept"),
    [
        ({"field": "task", "equals": "law"}, [0]),
        ({"field": "task", "equals": ""}, [2]),
        ({"field": "task", "one_of": ["law", "art"]}, [0, 1]),
        ({"field": "task", "matches": "^.a"}, [0]),
        ({"field": "task", "matches": "a", "negate": True}, [2]),
        ({"field": "categories", "equals": "A"}, [0, 1]),
        ({"field": "categories", "matches": "B|C", "negate": True}, [0, 2]),
        ({"field": "id", "matches": "[02]$"}, [0, 2]),
    ],
)
def test_where_keeps_the_rows_that_meet_its_condition(params, kept):
    rows = batch(
        {"id": "x#0", "task": "law", "categories": ["A"]},
        {"id": "x#1", "task": "art", "categories": ["A", "B"]},
        {"id": "x#2"},
    )
    expected = [None if n in kept else "where" for n in range(3)]
    assert create("where", **params).reasons(rows) == expected


@pytest.mark.parametrize(
    ("name", "params", "message"),
    [
        ("where", {"field": "task"}, "found none"),
        ("where", {"field": "task", "equals": "a", "matches": "a"}, "`equals` and `matches`"),
        ("where", {"field": "task", "matches": "(a"}, "not a regular expression"),
        ("where", {"field": "turns", "equals": "a"}, "Input should be"),
        ("languages", {}, "name languages"),
        ("categories", {}, "name categories"),
        ("categories", {"include": ["A"], "exclude": ["A"]}, "both included and excluded"),
        ("exact-duplicates", {"by": []}, "at least 1"),
        ("min-words", {"at_least": 0}, "greater than or equal to 1"),
    ],
)
def test_parameters_that_make_no_sense_are_refused_with_the_recipe(name, params, message):
    with pytest.raises(ValidationError, match=message):
        create(name, **params)


def test_words_of_slices_begin_and_end_with_their_rows():
    texts = ["a b", "", "c", " d", "e ", "\u3000", "f\u2003g", "", "h"] * 50
    rows = pa.RecordBatch.from_pydict({"input": texts, "output": texts[::-1]})
    for start, size in ((0, 450), (1, 3), (5, 1), (7, 64), (7, 65), (449, 1), (450, 0)):
        part = rows.slice(start, size)
        both = zip(part.column("input").to_pylist(), part.column("output").to_pylist(), strict=True)
        wanted = [len(one.split()) + len(two.split()) for one, two in both]
        assert count_words(part, ["input", "output"]).tolist() == wanted
