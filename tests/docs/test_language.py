"""The reference of the language is what the code says, and its examples are recipes."""

from __future__ import annotations

import re
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest
from json_schema import validator

from khichdi.compiler.language.json_schema import language_schema
from khichdi.compiler.language.type_names import value_words
from khichdi.compiler.validate import validate
from khichdi.plugins.kinds import KINDS
from khichdi.project.bundled_recipes import open_recipe
from khichdi.schema.recipe import Recipe
from khichdi.schema.yaml_reader import parse


def load_generator() -> Any:
    path = Path(__file__).resolve().parents[2] / "docs" / "generate.py"
    spec = spec_from_file_location("generate", path)
    assert spec
    assert spec.loader
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


GENERATOR = load_generator()
REGISTRY = GENERATOR.shipped_registry()
SCHEMA = language_schema(REGISTRY)
TEXT = GENERATOR.REFERENCE.read_text("utf-8")
EXAMPLES = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)
FILE_NAME = re.compile(r"# (\S+\.yaml)\n")

# What an example that is no whole recipe is put into.
MINIMAL = """\
recipe: 1
model:
  base: {use: files, folder: base, include: ["*"]}
  adapter: {use: lora}
data:
  lima:
    source: {use: files, include: [lima.jsonl]}
    read: {use: jsonl}
train: {use: qlora, template: {use: alpaca}}
"""


def test_the_packaged_schema_is_what_the_code_says() -> None:
    assert GENERATOR.SCHEMA.read_text("utf-8") == GENERATOR.schema_file(REGISTRY), "run `make docs`"


def test_the_tables_are_what_the_code_says() -> None:
    assert GENERATOR.reference(TEXT, REGISTRY) == TEXT, "run `make docs`"


def test_the_lists_of_bases_are_what_the_code_says() -> None:
    text = GENERATOR.BASES.read_text("utf-8")
    assert GENERATOR.base_types(text) == text, "run `make docs`"


def test_every_plugin_that_ships_and_each_of_its_parameters_is_described() -> None:
    for kind in KINDS:
        for name in REGISTRY.names(kind):
            part = TEXT.split(f"#### {kind} `{name}`\n")[1].split("\n#")[0]
            for parameter in REGISTRY.get(kind, name).plugin.params_model.model_fields:
                assert f"| `{parameter}`" in part, f"{kind} {name}"


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_example_is_a_recipe_or_a_change_of_one(example: str, tmp_path: Path) -> None:
    for other in EXAMPLES:
        if named := FILE_NAME.match(other):
            (tmp_path / named[1]).write_text(other, encoding="utf-8")
    (tmp_path / "minimal.yaml").write_text(MINIMAL, encoding="utf-8")
    data = parse(example.encode(), "example").data
    if not {"recipe", "extends"} & set(data):
        example = "extends: minimal.yaml\n" + example
    (tmp_path / "example.yaml").write_text(example, encoding="utf-8")
    validate("example.yaml", tmp_path, open_recipe, REGISTRY)
    validator(SCHEMA).validate(parse(example.encode(), "example").data)


def test_the_example_of_composition_is_what_it_says_it_is(tmp_path: Path) -> None:
    for example in EXAMPLES:
        named = FILE_NAME.match(example)
        if named or "extends: base.yaml" in example:
            (tmp_path / (named[1] if named else "child.yaml")).write_text(example, "utf-8")
    recipe = validate("child.yaml", tmp_path, open_recipe, REGISTRY).recipe
    shown: Any = recipe.to_json()
    assert list(shown["data"]) == ["lima"]
    filters = shown["data"]["lima"]["filters"]
    assert [step["use"] for step in filters] == ["max-words", "min-words"]
    assert filters[0]["below"] == 400
    assert shown["model"]["adapter"]["r"] == 128
    assert shown["train"]["num_epochs"] == 3
    assert shown["evaluate"] == []


def test_there_is_an_example_for_each_section_and_each_kind_that_ships() -> None:
    headings = set(Recipe.model_fields) - {"recipe", "name", "description", "plugins", "seed"}
    headings |= {kind.title() + "s" for kind in KINDS if REGISTRY.names(kind)}
    if not any(plugin.uses_benchmarks for plugin in REGISTRY.classes("filter")):
        headings.remove("benchmarks")  # one that no filter names is an error
    for heading in headings:
        part = TEXT.split(f"\n### {heading}\n")[1].split("\n### ")[0]
        assert "```yaml\n" in part, heading


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"type": "integer", "minimum": 1, "maximum": 2**53 - 1}, "integer, at least 1"),
        ({"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
         "number, above 0 and below 1"),
        ({"anyOf": [{"type": "string", "minLength": 1}, {"type": "null"}]}, "text, not empty"),
        ({"anyOf": [{"const": "all-linear"}, {"type": "array", "items": {"type": "string"}}]},
         "`all-linear` or list of text"),
        ({"type": "array", "minItems": 1, "items": {"enum": ["a", "b"]}},
         "list of `a` or `b`, not empty"),
        ({"type": ["integer", "null"], "minimum": 0}, "integer, at least 0"),
        ({"$ref": "#/$defs/filter"}, ""),
    ],
)  # fmt: skip
def test_what_a_parameter_takes_in_words(schema: Any, words: str) -> None:
    assert value_words(schema) == words
