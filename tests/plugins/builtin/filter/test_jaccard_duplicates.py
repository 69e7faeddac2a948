"""Near-duplicates by shingles, held against comparing every pair in plain Python."""

from __future__ import annotations

import random

import numpy as np
import pyarrow as pa
import pytest
from row_batches import batch_of, texts_with_near_duplicates

from khichdi.plugins import Drop, FilterInputs
from khichdi.plugins.builtin.filter.similarity import duplicate_finder
from khichdi.plugins.builtin.filter.similarity.word_hashes import words
from khichdi.plugins.registry import load_registry


def reasons(texts, size=4096, **params):
    """Return the filter's reasons for rows with these inputs, given in batches of some size."""
    filter_ = load_registry().create(
        "filter", "jaccard-duplicates", {"fields": ["input"], **params}
    )
    rows = batch_of([{"input": text} for text in texts])
    return [
        reason
        for start in range(0, len(texts), size)
        for reason in filter_.reasons(rows.slice(start, size))
    ]


def shingles(text, length=5):
    found = text.lower().split()
    if not found:
        return set()
    return {tuple(found[n : n + length]) for n in range(max(1, len(found) - length + 1))}


def by_every_pair(texts, above):
    """Return, for each text, the number of the first text that stays and is similar enough."""
    sets, stay, answers = [shingles(text) for text in texts], [], []
    for number, mine in enumerate(sets):
        first = next((n for n in stay if len(mine & sets[n]) >= above * len(mine | sets[n])), None)
        answers.append(first)
        if first is None and mine:
            stay.append(number)
    return answers


@pytest.mark.parametrize("above", [0.1, 0.5, 0.7, 0.9, 1.0])
def test_what_goes_is_what_comparing_every_pair_says(above):
    texts = texts_with_near_duplicates(400, seed=3, near=0.5)
    wanted = by_every_pair(texts, above)
    found = reasons(texts, above=above)
    assert sum(number is not None for number in wanted) > 10
    assert [reason and reason.detail.split()[0] for reason in found] == [
        number if number is None else f"d/f#{number}" for number in wanted
    ]


def test_a_drop_names_the_row_that_stays_and_the_true_similarity():
    text = "one two three four five six seven eight nine ten eleven twelve"
    other = text.replace("twelve", "dozen")
    found = reasons(["something else", text, other, text.upper() + "!"], above=0.7)
    assert found == [
        None,
        None,
        Drop("near-duplicate", "d/f#1 (similarity 0.778)"),
        Drop("near-duplicate", "d/f#1 (similarity 1.000)"),
    ]


def test_batches_do_not_change_what_goes():
    texts = texts_with_near_duplicates(600, seed=4, near=0.5)
    whole = reasons(texts, size=600)
    assert whole == reasons(texts, size=1) == reasons(texts, size=7) == reasons(texts, size=511)


def test_rows_like_a_row_that_went_but_unlike_all_that_stay_stay():
    words_ = [f"w{n}" for n in range(40)]
    steps = [[*words_[: 40 - 3 * n], *(f"x{m}" for m in range(3 * n))] for n in range(3)]
    found = reasons([" ".join(step) for step in steps], above=0.8)
    assert [reason is None for reason in found] == [True, False, True]


def test_short_texts_are_compared_whole_and_texts_without_words_stay():
    found = reasons(["", "yes", "...", "Yes.", "no", "yes no", "a b c d e", "a b c d e", ""])
    assert [reason and reason.detail[:5] for reason in found] == [
        None, None, None, "d/f#1", None, None, None, "d/f#6", None,
    ]  # fmt: skip


def test_a_hundred_thousand_equal_rows_are_no_work():
    found = reasons(["the same few words again and again"] * 100_000)
    assert found[0] is None
    assert set(found[1:]) == {Drop("near-duplicate", "d/f#0 (similarity 1.000)")}


def test_an_empty_batch_has_no_reasons():
    assert reasons([]) == []
    assert reasons(["", ""]) == [None, None]


def test_hashes_are_these_on_every_machine_and_version():
    found = words(["Hello, World!", "l'été 中文 \U0001f600 12.5"])
    assert found.bounds.tolist() == [0, 2, 8]
    assert [found.phrase(n, 1) for n in range(8)] == [
        "hello",
        "world",
        "l",
        "été",
        "中",
        "文",
        "12",
        "5",
    ]
    assert found.hashes.dtype == np.uint64
    assert [hex(n) for n in found.hashes[:4].tolist()] == [
        "0xb679a956d19782fe",
        "0x7891bec979e9ab03",
        "0xf01316cd3df57ffb",
        "0xaf6574eb0d82065a",
    ]
    assert [hex(n) for n in found.grams([2])[2][:1].tolist()] == ["0x43e80753bcfa0258"]


def tasks(count, rows, shared, own=30, seed=5):
    """Return rows of tasks, each with an instruction that all its rows share, in random order."""
    chosen = random.Random(seed)
    vocabulary = texts_with_near_duplicates(400, seed=seed, near=0)
    words_ = " ".join(vocabulary).split()
    texts = []
    for _ in range(count):
        instruction = chosen.choices(words_, k=shared)
        for _ in range(rows):
            own_words = chosen.choices(words_, k=chosen.randint(own - 10, own + 10))
            texts.append(" ".join([*instruction, *own_words]))
    chosen.shuffle(texts)
    return texts


@pytest.mark.parametrize("shared", [40, 90, 150])
def test_rows_that_share_an_instruction_are_compared_exactly(shared):
    texts = tasks(3, 60, shared)
    found = reasons(texts, above=0.7)
    assert [reason and reason.detail.split()[0] for reason in found] == [
        number if number is None else f"d/f#{number}" for number in by_every_pair(texts, 0.7)
    ]


def test_a_shared_instruction_makes_no_pair_a_candidate(monkeypatch):
    """Nearly all rows share more than half of their shingles, and hardly a pair is compared."""
    texts = tasks(4, 500, 60)
    compared = 0

    def counted(left, rows, right, others, exactly=duplicate_finder.jaccard):
        nonlocal compared
        compared += len(rows)
        return exactly(left, rows, right, others)

    monkeypatch.setattr(duplicate_finder, "jaccard", counted)
    filter_ = load_registry().create("filter", "jaccard-duplicates", {"fields": ["input"]})
    rows = batch_of([{"input": text} for text in texts])
    filter_.begin(FilterInputs(rows=pa.Table.from_batches([rows])))
    assert filter_.reasons(rows) == [None] * len(texts)
    assert compared < 100  # of half a million pairs with one instruction


def test_a_sample_of_the_rows_changes_how_they_are_looked_up_and_nothing_else():
    texts = tasks(3, 60, 120) + texts_with_near_duplicates(200, seed=6, near=0.5)
    rows = batch_of([{"input": text} for text in texts])
    filter_ = load_registry().create("filter", "jaccard-duplicates", {"fields": ["input"]})
    filter_.begin(FilterInputs(rows=pa.Table.from_batches([rows])))
    assert filter_.reasons(rows) == reasons(texts)


def test_a_block_whose_rows_share_everything_is_halved(monkeypatch):
    texts = tasks(2, 60, 300)
    whole = reasons(texts, above=0.8)
    assert sum(reason is not None for reason in whole) > 20
    monkeypatch.setattr(duplicate_finder, "HITS", 100)
    assert reasons(texts, above=0.8) == whole
