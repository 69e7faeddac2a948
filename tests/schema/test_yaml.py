"""Reading YAML: by 1.2, with places, and every fault a sentence."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from khichdi.schema.errors import RecipeError
from khichdi.schema.yaml_reader import MAX_BYTES, Mark, parse

SCALARS = {
    "1e-4": 1e-4,
    "2.0e-5": 2e-5,
    "1": 1,
    "-7": -7,
    "0x10": 16,
    "0o17": 15,
    "012": 12,
    "no": "no",
    "on": "on",
    "true": True,
    "False": False,
    "null": None,
    "~": None,
    "": None,
    "2020-01-01": "2020-01-01",
    "1:30": "1:30",
    "'5'": "5",
    '"\\n\\n"': "\n\n",
    "3.10": 3.1,
    "a b": "a b",
}


@pytest.mark.parametrize(("text", "value"), SCALARS.items())
def test_scalars_mean_what_yaml_1_2_says(text: str, value: object) -> None:
    found = parse(f"a: {text}\n".encode(), "f.yaml").data["a"]
    assert found == value
    assert type(found) is type(value)


BROKEN = {
    "a: 1\na: 2\n": (2, 1, "twice"),
    "a:\n\tb: 1\n": (2, 1, "tab"),
    "": (1, 1, "empty"),
    "# only a comment\n": (1, 1, "empty"),
    "a: &x 1\n": (1, 4, "anchors"),
    "a: [1,\n": (1, 4, "not YAML"),
    "<<: {a: 1}\n": (1, 1, "plain word"),
    "a: !!python/object:x 1\n": (1, 4, "tag"),
    "? [a]\n: 1\n": (1, 3, "plain word"),
    "a: 1\n---\nb: 2\n": (2, 1, "document"),
    "a: 1: 2\n": (1, 5, "not YAML"),
    "a: .inf\n": (1, 4, "number"),
    "a: .nan\n": (1, 4, "number"),
    "[" * 5000: (1, 52, "deep"),
    "- " * 3000: (1, 103, "deep"),
    "a: *nowhere\n": (1, 4, "alias"),
}


@pytest.mark.parametrize(("text", "expected"), BROKEN.items())
def test_each_fault_has_its_place_and_a_sentence(text: str, expected: tuple[int, int, str]) -> None:
    with pytest.raises(RecipeError) as caught:
        parse(text.encode(), "f.yaml")
    first = caught.value.diagnostics[0]
    line, column, word = expected
    assert (first.line, first.column) == (line, column)
    assert word in first.message
    assert str(first).startswith(f"f.yaml:{line}:{column}: ")


def test_bytes_that_are_not_utf_8_are_named_with_their_place() -> None:
    with pytest.raises(RecipeError, match=r"f\.yaml:2:4: not UTF-8: byte 0xe9 at position 8"):
        parse("a: x\nb: é\n".encode("latin-1"), "f.yaml")


def test_a_byte_order_mark_is_no_part_of_the_first_key() -> None:
    assert parse(b"\xef\xbb\xbfa: 1\n", "f.yaml").data == {"a": 1}


def test_a_huge_file_is_refused_before_it_is_parsed() -> None:
    with pytest.raises(RecipeError, match="at most 262,144"):
        parse(b"a" * (MAX_BYTES + 1), "f.yaml")


def test_an_alias_bomb_is_refused() -> None:
    bomb = "a: &a [x, x]\n" + "".join(
        f"{chr(98 + i)}: &{chr(98 + i)} [*{chr(97 + i)}, *{chr(97 + i)}]\n" for i in range(20)
    )
    with pytest.raises(RecipeError, match="anchors and aliases"):
        parse(bomb.encode(), "f.yaml")


def test_all_faults_come_at_once_in_order() -> None:
    with pytest.raises(RecipeError) as caught:
        parse(b"a: 1\na: 2\nb: .inf\nb: 3\n", "f.yaml")
    assert [d.line for d in caught.value.diagnostics] == [2, 3, 4]


def test_keys_and_values_keep_their_places() -> None:
    parsed = parse(b"model:\n  base: {use: files}\n", "f.yaml")
    assert parsed.keys["model", "base"] == Mark(2, 3, 4)
    assert parsed.values["model", "base", "use"] == Mark(2, 15, 5)


@given(st.text(max_size=200))
def test_no_text_raises_anything_but_a_recipe_error(text: str) -> None:
    with contextlib.suppress(RecipeError):
        parse(text.encode("utf-8", "surrogatepass"), "f.yaml")


def test_of_a_very_long_line_only_the_place_is_shown() -> None:
    text = "a: [" + "1, " * 5000 + "&x 2]\n"
    with pytest.raises(RecipeError) as caught:
        parse(text.encode(), "f.yaml")
    shown, caret = str(caught.value.diagnostics[0]).splitlines()[1:]
    assert len(shown) < 200
    assert shown[caret.index("^")] == "&"
