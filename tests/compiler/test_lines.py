"""A recipe as YAML reads back as the same recipe, and every value has its own line and path."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from khichdi.compiler.language.paths import parse_path
from khichdi.compiler.validate import validate
from khichdi.compiler.yaml.textconv import canonical_text
from khichdi.compiler.yaml.writer import find, flow, layout, scalar
from khichdi.plugins.registry import load_registry
from khichdi.project.bundled_recipes import open_recipe, shipped_recipes
from khichdi.schema.yaml_reader import parse

REGISTRY = load_registry()
SHIPPED = [path.stem for path in shipped_recipes()]


def bound(name: str) -> dict[str, Any]:
    return validate(name, Path.cwd(), open_recipe, REGISTRY).recipe.to_json()


@pytest.mark.parametrize("name", SHIPPED)
def test_the_lines_are_the_recipe(name: str) -> None:
    document = bound(name)
    lines = layout(document)
    assert parse("\n".join(line.text for line in lines).encode(), "x").data == document
    paths = [line.path for line in lines if line.path is not None]
    assert len(set(paths)) == len(paths)
    for line in lines:
        if line.path is not None:
            assert find(document, parse_path(line.path)[0]) == (line.place, [])


# What a recipe can hold: no surrogates, no NUL, integers that JSON knows, keys that can be seen.
keys = st.text(min_size=1, max_size=8).filter(str.isprintable).filter(str.strip)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20).filter(lambda text: "\0" not in text),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=5,
)  # fmt: skip
documents = st.dictionaries(
    keys,
    values | st.dictionaries(keys, values, min_size=1),
    min_size=1,
)


@given(documents)
def test_any_values_are_read_back_as_they_are(document: dict[str, Any]) -> None:
    text = "\n".join(line.text for line in layout(document))
    assert parse(text.encode(), "x").data == document


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (2e-5, "2.0e-5"), (1e-8, "1.0e-8"), (1e16, "1.0e+16"), (0.05, "0.05"), (1.0, "1.0"),
        (0.0, "0.0"), (1.25e-4, "1.25e-4"), (True, "true"), (None, "null"), ("all", "all"),
        ("true", '"true"'), ("on", '"on"'), ("Yes", '"Yes"'), ("y", '"y"'), ("1", '"1"'),
        ("1:30", '"1:30"'), ("2026-11-26", '"2026-11-26"'), ("0x1f", '"0x1f"'), ("._1", '"._1"'),
        ("/data", "/data"), ("10%", "10%"), ("é", "é"), ("*.json", '"*.json"'), ("a b ", '"a b "'),
        ('say "hi"', "'say \"hi\"'"), ("a\nb", '"a\\nb"'), ("a: b", '"a: b"'), ([], "[]"),
        ({"r": 1, "use": "a"}, "{use: a, r: 1}"), ({"on": ["no", 1]}, '{"on": ["no", 1]}'),
    ],
)  # fmt: skip
def test_a_value_is_written_as_a_person_would(value: Any, text: str) -> None:
    assert flow(value) == text
    assert parse(f"a: {text}".encode(), "x").data == {"a": value}


WORD = st.text("aeonyfs.:-+_0123456789~=%/ '\"#,[]{}\\étTZE\n", max_size=12)


@given(WORD | st.sampled_from(["null", "NULL", "~", "Off", "n", "1e3", "0o17", "1_000", ".inf"])
       | st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**53) + 1, 2**53 - 1)
       | st.booleans() | st.none())  # fmt: skip
def test_a_scalar_means_the_same_in_yaml_1_1_and_1_2(value: Any) -> None:
    for text in (f"a: {scalar(value)}", f"{{a: {scalar(value)}, b: [{scalar(value)}]}}"):
        newer, older = parse(text.encode(), "x").data["a"], yaml.safe_load(text)["a"]
        assert (type(newer), newer) == (type(value), value)
        assert (type(older), older) == (type(value), value)


@given(WORD.filter(str.strip).filter(str.isprintable))
def test_a_key_is_a_text_in_yaml_1_1_and_1_2(key: str) -> None:
    for text in (f"{scalar(key)}: 1", f"x: {{{scalar(key)}: 1}}"):
        newer, older = parse(text.encode(), "x").data, yaml.safe_load(text)
        assert newer in ({key: 1}, {"x": {key: 1}})
        assert older == newer


def test_a_path_that_leads_nowhere_names_what_is_there() -> None:
    document = bound("quickstart")
    assert find(document, parse_path("data.task")[0]) == (None, ["tasks"])
    wrong = parse_path("data.tasks.filters[languges]")[0]
    assert find(document, wrong) == (None, ["languages", "categories", "max-words"])


@pytest.mark.parametrize("name", SHIPPED)
def test_the_canonical_text_is_of_values_alone(name: str) -> None:
    raw = next(path for path in shipped_recipes() if path.stem == name).read_bytes()
    text = canonical_text(raw, REGISTRY).decode()
    assert "#" not in re.sub(r'"(\\.|[^"\\])*"', "", text)
    parent = re.search(rb"^extends: (.*)$", raw, re.MULTILINE)
    if parent:
        assert f'extends: "{parent[1].decode()}"' in text.splitlines()
        return
    assert canonical_text(json.dumps(bound(name)).encode(), REGISTRY).decode() == text


@pytest.mark.parametrize(
    "raw", [b"recipe: 1\nsede: 5\n", b"recipe: [1", b"", b"\xff\xfe\0", b"- 1\n"], ids=repr
)
def test_what_is_no_recipe_stays_as_it_is(raw: bytes) -> None:
    assert canonical_text(raw, REGISTRY) == raw
