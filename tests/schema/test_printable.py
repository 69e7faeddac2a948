"""Text of others is shown so that it cannot move a cursor, add a line or change direction."""

from __future__ import annotations

import unicodedata

import pytest

from khichdi.schema.printable import one_line, printable

BIDIRECTIONAL = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"


@pytest.mark.parametrize("text", ["Straße 日本語 𝄞 é", "", "a\\x1b"])
def test_ordinary_text_is_shown_as_it_is(text: str) -> None:
    assert printable(text) == one_line(text) == text


def test_every_control_character_and_bidirectional_mark_is_escaped() -> None:
    active = [chr(code) for code in range(0x250) if unicodedata.category(chr(code)) == "Cc"]
    for mark in [*active, *BIDIRECTIONAL, "\u2028", "\u2029"]:
        shown = one_line(f"a{mark}b")
        assert mark not in shown
        assert shown.startswith("a\\")
        assert shown.endswith("b")
        assert shown.isprintable()


def test_lines_are_kept_where_they_are_ours() -> None:
    assert printable("a\n\tb\r\n\x1b[2J") == "a\n\tb\\r\n\\x1b[2J"
    assert one_line("a\nb") == "a\\nb"
