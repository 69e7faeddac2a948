"""A recipe is bound over the plugins that it names, to what it would be over all of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from khichdi.compiler.bind import bind_partly, bound_model
from khichdi.compiler.load import load_leniently
from khichdi.plugins.registry import PARTS, load_registry
from khichdi.project.bundled_recipes import open_recipe

REGISTRY = load_registry()
RECIPES = sorted(
    path.stem for path in (Path(__file__).resolve().parents[2] / "recipes").glob("*.yaml")
)


@pytest.mark.parametrize("name", RECIPES)
def test_a_shipped_recipe_is_the_same_over_all_plugins(name: str) -> None:
    loaded = load_leniently(name, Path.cwd(), open_recipe)
    bound = bind_partly(loaded, load_registry()).recipe
    assert bound is not None
    whole = bound_model(REGISTRY).model_validate_json(json.dumps(loaded.data), strict=True)
    assert bound.to_json() == whole.to_json()


def test_a_misspelt_plugin_is_held_against_all_of_them(tmp_path: Path) -> None:
    text = "extends: quickstart\nrecipe: 1\ntrain: {use: qlroa}\n"
    (tmp_path / "mine.yaml").write_text(text)
    loaded = load_leniently("mine.yaml", tmp_path, open_recipe)
    partial = bind_partly(loaded, REGISTRY)
    told = [fault.message + str(fault.suggestion) for fault in partial.faults]
    assert any("qlroa" in words and "qlora" in words for words in told), told


def test_a_part_of_the_registry_has_the_plugins_of_those_names() -> None:
    registry = load_registry()
    part = registry.only(frozenset({"lora", "jsonl"}))
    assert [(entry.plugin.kind, entry.plugin.name) for entry in part] == [
        ("adapter", "lora"),
        ("reader", "jsonl"),
    ]
    assert registry.only(frozenset({"lora", "jsonl"})) is part
    for number in range(PARTS):
        registry.only(frozenset({str(number)}))
    assert registry.only(frozenset({"qlora"})) is registry
    assert registry.only(frozenset({"lora", "jsonl"})) is part
