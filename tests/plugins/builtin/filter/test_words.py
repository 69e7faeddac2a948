"""Words are counted piece by piece as a regular expression counts them in the whole."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from row_batches import batch_of

from khichdi.plugins import FilterInputs
from khichdi.plugins.builtin.filter.base import word_splitting as words
from khichdi.plugins.builtin.filter.base.scripts import WORD
from khichdi.plugins.builtin.filter.similarity.word_hashes import words as hashed
from khichdi.plugins.registry import load_registry

ALPHABET = "ab \t\n\x1c\x1b\x85\xa0\u2003\u3000\u2019é日ไ\u30ce\u17ff\U00020000\U0003ffff"
TEXTS = st.text(alphabet=st.sampled_from(ALPHABET), max_size=9)


def counted(text: str) -> int:
    return len(re.findall(WORD, text))


@given(st.lists(TEXTS, max_size=30), st.integers(1, 40))
def test_pieces_of_any_size_count_the_same(texts: list[str], size: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(words, "PIECE", size)
        counts = words.count_words(batch_of([{"input": text} for text in texts]), ["input"])
    assert counts.tolist() == [counted(text) for text in texts]


def test_texts_longer_than_a_piece_and_many_that_fill_several() -> None:
    long = "word " * words.PIECE
    texts = ["a b", long, "", *["one two three"] * (words.PIECE // 4), long, " "]
    counts = words.count_words(batch_of([{"input": text} for text in texts]), ["input"])
    assert counts.tolist() == [counted(text) for text in texts]


def test_words_of_spaced_scripts_are_what_python_splits() -> None:
    texts = [
        "It\u2019s \u201cfine\u201d \u2014 really",
        "\u00fcber \u4e2d",
        "\u0645\u0631\u062d\u0628\u0627 \u0628\u0643",
    ]
    assert [counted(text) for text in texts] == [len(text.split()) for text in texts]


CHINESE = "人工智能正在改变我们的生活\uff0c它让机器能够学习。"


def test_a_sentence_without_spaces_is_not_one_word() -> None:
    batch = batch_of([{"input": CHINESE * 40}, {"input": "too short"}])
    kept = [None, "too-short"]
    short = load_registry().create("filter", "min-words", {"fields": ["input"], "at_least": 5})
    assert list(short.reasons(batch)) == kept
    long = load_registry().create("filter", "max-words", {"fields": ["input"], "below": 100})
    assert list(long.reasons(batch)) == ["too-long", None]
    head = load_registry().create("filter", "truncate-words", {"words": 7})
    assert head.text(CHINESE) == CHINESE[:7]
    assert head.text("one two " + CHINESE) == "one two " + CHINESE[:5]


def test_words_for_near_duplicates_are_characters_in_scripts_without_spaces() -> None:
    found = hashed([CHINESE, "Python\u8bed\u8a00 is fun", "\u0e01\u0e34\u0e19", ""])
    assert found.count.tolist() == [21, 5, 3, 0]
    assert [found.phrase(word, 1) for word in range(21, 26)] == [
        "python", "\u8bed", "\u8a00", "is", "fun",
    ]  # fmt: skip


def test_a_near_copy_in_chinese_is_found_as_one_in_english_is() -> None:
    copy = CHINESE + CHINESE.replace("改变", "重塑")
    near = load_registry().create(
        "filter", "jaccard-duplicates", {"fields": ["input"], "above": 0.6, "words": 3}
    )
    near.begin(FilterInputs())
    first, second = near.reasons(batch_of([{"input": CHINESE * 2}, {"input": copy}]))
    assert first is None
    assert second is not None
