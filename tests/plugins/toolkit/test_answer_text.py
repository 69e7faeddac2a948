"""Pieces of a streamed answer: half characters and beginnings of stops are withheld."""

from __future__ import annotations

import pytest
from miniature import make_tokenizer

from khichdi.plugins.toolkit.answer_text import UNFINISHED, AnswerText

TOKENIZER = make_tokenizer()


def pieces(text: str, *stops: str) -> tuple[list[str], AnswerText]:
    """Return what is shown after each token of a text, then what was withheld."""
    answer = AnswerText(TOKENIZER, stops)
    shown = []
    for token in TOKENIZER(text, add_special_tokens=False).input_ids:
        shown.append(answer.add(token))
        if answer.stopped:
            break
    return [*shown, answer.rest()], answer


@pytest.mark.parametrize("text", ["Rome", "naïve café", "खिचड़ी 🍲 dish", "a\n\nb  c", "Ünïcödé…"])
def test_pieces_make_up_the_text_and_none_is_half_a_character(text: str) -> None:
    shown, answer = pieces(text)
    assert "".join(shown) == text
    assert not any(UNFINISHED in piece for piece in shown)
    assert not answer.stopped


def test_an_answer_that_ends_in_half_a_character_shows_it() -> None:
    ids = TOKENIZER("🍲", add_special_tokens=False).input_ids
    assert len(ids) > 1
    answer = AnswerText(TOKENIZER, ())
    assert [answer.add(token) for token in ids[:-1]] == [""] * (len(ids) - 1)
    assert answer.rest() == TOKENIZER.decode(ids[:-1])


@pytest.mark.parametrize(
    ("text", "stops", "left"),
    [
        ("One two three", ("two",), "One "),
        ("One two three", ("three", "two"), "One "),
        ("a\n\nb", ("\n\n",), "a"),
        ("ababac", ("abac",), "ab"),
        ("One", ("One more",), "One"),
        ("stop", ("stop",), ""),
    ],
)
def test_a_stop_and_nothing_of_it_is_shown(text: str, stops: tuple[str, ...], left: str) -> None:
    shown, answer = pieces(text, *stops)
    assert "".join(shown) == left
    assert answer.stopped == any(stop in text for stop in stops)


def test_a_special_token_is_a_stop_too() -> None:
    answer = AnswerText(TOKENIZER, (TOKENIZER.eos_token,))
    assert answer.add(TOKENIZER.eos_token_id) == ""
    assert answer.stopped
