"""Words are counted piece by piece as `str.split` counts them in the whole."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from planted import batch_of

from khichdi.plugins.builtin.filter.base import word_splitting as words

TEXTS = st.text(alphabet=st.sampled_from("ab \t\n\x1c\x1b\x85\xa0\u2003\u3000é日"), max_size=9)


@given(st.lists(TEXTS, max_size=30), st.integers(1, 40))
def test_pieces_of_any_size_count_the_same(texts: list[str], size: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(words, "PIECE", size)
        counts = words.count_words(batch_of([{"input": text} for text in texts]), ["input"])
    assert counts.tolist() == [len(text.split()) for text in texts]


def test_texts_longer_than_a_piece_and_many_that_fill_several() -> None:
    long = "word " * words.PIECE
    texts = ["a b", long, "", *["one two three"] * (words.PIECE // 4), long, " "]
    counts = words.count_words(batch_of([{"input": text} for text in texts]), ["input"])
    assert counts.tolist() == [len(text.split()) for text in texts]
