"""Near-duplicates by MinHash, held against comparing every pair in plain Python."""

from __future__ import annotations

import numpy as np
import pytest
from row_batches import batch_of, texts_with_near_duplicates

from khichdi.plugins import Drop
from khichdi.plugins.builtin.filter.similarity.minhash import band_length
from khichdi.plugins.builtin.filter.similarity.word_hashes import words
from khichdi.plugins.registry import load_registry


def reasons(texts, size=4096, **params):
    """Return the filter's reasons for rows with these inputs, given in batches of some size."""
    filter_ = load_registry().create(
        "filter", "minhash-duplicates", {"fields": ["input"], **params}
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


@pytest.mark.parametrize("above", [0.5, 0.7, 0.9])
def test_what_goes_is_what_comparing_every_pair_says(above):
    texts = texts_with_near_duplicates(1500, seed=3, near=0.5)
    wanted = by_every_pair(texts, above)
    found = reasons(texts, above=above)

    wrong = [
        n
        for n, (one, two) in enumerate(zip(wanted, found, strict=True))
        if (one is None) != (two is None)
    ]
    assert sum(number is not None for number in wanted) > 100
    # MinHash may overlook 1 in 100 of the least alike; it never drops what is not alike.
    assert len(wrong) <= 0.01 * sum(number is not None for number in wanted)


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
    texts = texts_with_near_duplicates(3000, seed=4, near=0.5)
    whole = reasons(texts, size=3000)
    assert whole == reasons(texts, size=1) == reasons(texts, size=7) == reasons(texts, size=1025)


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


def test_bands_miss_at_most_one_pair_in_a_hundred():
    for above in (0.1, 0.3, 0.5, 0.7, 0.8, 0.9, 0.99, 1.0):
        length = band_length(128, above)
        assert length == 1 or (1 - above**length) ** (128 // length) <= 0.01
    assert band_length(128, 0.7) == 4
