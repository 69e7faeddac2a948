"""Decontamination, held against looking for every run of words in plain Python."""

from __future__ import annotations

import re

import pyarrow as pa
import pytest
from pydantic import ValidationError
from row_batches import batch_of, texts_with_near_duplicates

from khichdi.plugins import Drop, FilterInputs
from khichdi.plugins.registry import load_registry


def create(benchmarks, **params):
    filter_ = load_registry().create("filter", "decontaminate", params)
    tables = {
        name: pa.Table.from_batches([batch_of([{"input": text} for text in texts])])
        for name, texts in benchmarks.items()
    }
    filter_.begin(FilterInputs(benchmarks=tables))
    return filter_


def inputs(*texts):
    return batch_of([{"input": text} for text in texts])


QUESTION = "Natalia sold clips to 48 of her friends in April, and then she sold half as many in May"


def test_a_drop_names_the_benchmark_its_row_and_the_words_that_both_have():
    filter_ = create({"gsm8k": ["something else", QUESTION]})
    copied = "Solve! natalia SOLD clips, to 48 of her friends in April and then she did."
    found = filter_.reasons(inputs("Natalia sold clips to 48 of her friends", copied, ""))
    words = "natalia sold clips to 48 of her friends in april and then"
    assert found == [None, Drop("in-benchmark", f'gsm8k d/f#1: "{words} she"'), None]


def test_what_goes_is_what_looking_for_every_run_says():
    texts = texts_with_near_duplicates(600, seed=5, near=0.4)
    theirs, mine = texts[::2], texts[1::2]

    def runs(text):
        words = text.split()
        return {tuple(words[n : n + 13]) for n in range(len(words) - 12)}

    wanted = set().union(*map(runs, theirs))
    expected = [not wanted.isdisjoint(runs(text)) for text in mine]
    assert 20 < sum(expected) < 280

    found = create({"exam": theirs}).reasons(inputs(*mine))
    assert [reason is not None for reason in found] == expected
    for text, reason in zip(mine, found, strict=True):
        if reason:
            number, phrase = re.fullmatch(r'exam d/f#(\d+): "(.*)"', reason.detail).groups()
            assert phrase in text
            assert phrase in theirs[int(number)]


def test_short_texts_of_a_benchmark_are_looked_for_whole_and_very_short_ones_not():
    filter_ = create({"exam": ["one two three four five six seven eight", "yes", ""]})
    rows = inputs("yes", "zero one two three four five six seven eight nine", "one two three four")
    assert [reason is not None for reason in filter_.reasons(rows)] == [False, True, False]


def test_fields_are_looked_at_each_for_itself():
    filter_ = create({"exam": ["a b c d"]}, words=4, shortest=4, fields=["instruction", "input"])
    rows = batch_of(
        [
            {"instruction": "a b", "input": "c d"},
            {"instruction": "x a b c d"},
            {"output": "a b c d"},
        ]
    )
    assert [reason is not None for reason in filter_.reasons(rows)] == [False, True, False]


def test_a_benchmark_without_texts_hits_nothing():
    assert create({"exam": ["", "a b"]}).reasons(inputs("a b", "", "a " * 40)) == [None] * 3


def test_the_shortest_run_is_not_above_the_usual_one():
    with pytest.raises(ValidationError, match=r"`shortest` \(9\) is above `words` \(5\)"):
        load_registry().create("filter", "decontaminate", {"words": 5, "shortest": 9})
