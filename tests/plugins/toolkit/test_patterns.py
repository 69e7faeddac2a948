"""Patterns of a recipe mean what they mean in Python, and cannot run forever."""

from __future__ import annotations

import re
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from khichdi.plugins.toolkit import patterns
from khichdi.plugins.toolkit.patterns import Pattern, check_pattern
from khichdi.schema.errors import StepError

PATTERNS = [
    r"\bcat\b", r"^\s*$", r"(?i)as an ai", r"[0-9]{2,4}", r"(\w+) \1", r"(?<=a)b", r"(?!x)\w",
    r"\d+\.\d+$", r"(?s)a.b", r"(?m)^- ", r"é|ü", r"[^\W\d_]+", r"(?P<word>\w+)=(?P=word)",
]  # fmt: skip


@pytest.mark.parametrize("pattern", PATTERNS)
@given(text=st.text("abAB xé12.=-\n\tcatI", max_size=40))
def test_a_pattern_means_what_it_means_in_python(pattern: str, text: str) -> None:
    ours = Pattern(pattern)
    assert ours.found_in(text) == bool(re.search(pattern, text))
    assert ours.replace("#", text) == re.sub(pattern, "#", text)
    match = re.match(pattern, text)
    assert ours.without_prefix(text) == (text[match.end() :] if match else text)


def test_upper_and_lower_case_are_taken_for_the_same_where_asked() -> None:
    assert Pattern("straße", ignore_case=True).found_in("Die STRAßE")
    assert not Pattern("straße").found_in("Die STRAßE")


def test_a_pattern_that_backtracks_forever_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patterns, "SECONDS", 0.2)
    forever = Pattern("(a|aa)+$")
    for search in (forever.found_in, forever.without_prefix, partial(forever.replace, "")):
        with pytest.raises(StepError, match=r"takes more than 0.2 s on a text of 61 characters"):
            search("a" * 60 + "b")


@pytest.mark.parametrize("pattern", ["(", "[z-a]", "*a", "(?P<1>a)"])
def test_what_is_not_a_pattern_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match="not a regular expression"):
        check_pattern(pattern)
