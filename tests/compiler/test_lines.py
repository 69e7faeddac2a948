"""A recipe as YAML reads back as the same recipe, and every value has its own line and path."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from khichdi.compiler.language.paths import parse_path
from khichdi.compiler.validate import validate
from khichdi.compiler.yaml.textconv import canonical_text
from khichdi.compiler.yaml.writer import find, layout
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
