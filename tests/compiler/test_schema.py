"""The JSON Schema and the parser agree on structure."""

from __future__ import annotations

import json
from collections import Counter
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from from_schema import mutated, value
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from json_schema import validator
from pydantic import Field
from sizes import sized

from khichdi.cli.main import main
from khichdi.compiler.bind import bind
from khichdi.compiler.language.json_schema import language_schema
from khichdi.compiler.load import load
from khichdi.plugins import Filter, Params
from khichdi.plugins.hookspecs import hookimpl
from khichdi.plugins.registry import load_registry
from khichdi.project.bundled_recipes import open_recipe, shipped_folder, shipped_recipes
from khichdi.project.editor_schema import FILE
from khichdi.schema.errors import RecipeError
from khichdi.schema.yaml_reader import parse

REGISTRY = load_registry()
SCHEMA = language_schema(REGISTRY)
KEYS = sorted({key for body in SCHEMA["$defs"].values() for key in body.get("properties", {})})


@cache
def language() -> Any:
    """Return the validator of the language."""
    return validator(SCHEMA)


def parser_accepts(text: str, others: dict[str, str] | None = None) -> bool:
    """Return whether the parser finds no fault in structure; checks across fields do not count."""

    def open_text(name: str, folder: Path) -> tuple[Path, bytes]:
        if others and name in others:
            return folder / name, others[name].encode()
        return Path("/recipe.yaml"), text.encode()

    try:
        bind(load("recipe.yaml", Path("/"), open_text), REGISTRY)
    except RecipeError as error:
        return {diagnostic.code for diagnostic in error.diagnostics} == {"contradiction"}
    return True


def as_yaml(data: Any) -> str:
    """Return a value as JSON, which is YAML."""
    return json.dumps(data, ensure_ascii=False)


def shipped(name: str) -> Any:
    return parse((shipped_folder() / name).read_bytes(), name).data


def test_the_schema_is_a_valid_schema_of_draft_2020_12() -> None:
    assert SCHEMA["$schema"] == language().META_SCHEMA["$id"]
    language().check_schema(SCHEMA)


@pytest.mark.parametrize("name", [path.name for path in shipped_recipes()])
def test_every_shipped_recipe_is_valid_by_the_schema_it_names(name: str) -> None:
    first = (shipped_folder() / name).read_text("utf-8").splitlines()[0]
    place = first.removeprefix("# yaml-language-server: $schema=")
    assert place != first, f"the first line of {name} names no schema"
    schema = json.loads((shipped_folder() / place).read_text("utf-8"))
    validator(schema).validate(shipped(name))


def test_every_field_has_a_description_and_is_required_or_has_a_default() -> None:
    for name, body in SCHEMA["$defs"].items():
        for key, field in body.get("properties", {}).items():
            if field is True or key == "extends":
                continue
            assert field["description"], f"{name}.{key}"
            assert field["markdownDescription"].startswith(field["description"])
            if not name.endswith("_change"):
                has = key in body.get("required", ()), "default" in field
                assert sum(has) == 1, f"{name}.{key}"


def test_defaults_are_what_the_parser_fills_in() -> None:
    """A recipe with every default of the schema written out is bound as it is without them."""
    data = shipped("quickstart.yaml")
    steps = {
        "adapter.lora": data["model"]["adapter"],
        "runtime.qlora": data["train"],
        "reader.natural-instructions": data["data"]["tasks"]["read"],
        "recipe": data,
    }
    before = bind(load("quickstart", Path.cwd(), open_recipe), REGISTRY)
    for name, place in steps.items():
        for key, field in SCHEMA["$defs"][name]["properties"].items():
            if field is not True and "default" in field:
                place.setdefault(key, field["default"])

    def open_full(name: str, folder: Path) -> tuple[Path, bytes]:
        return shipped_folder() / "quickstart.yaml", as_yaml(data).encode()

    assert bind(load("quickstart.yaml", Path("/"), open_full), REGISTRY) == before


def test_a_fault_in_a_step_is_said_about_its_plugin_alone() -> None:
    data = shipped("quickstart.yaml")
    data["data"]["tasks"]["filters"][2]["belw"] = data["data"]["tasks"]["filters"][2].pop("below")
    faults = sorted(language().iter_errors(data), key=lambda fault: fault.message)
    assert [list(fault.absolute_path) for fault in faults] == [["data", "tasks", "filters", 2]] * 2
    assert "'belw' was unexpected" in faults[1].message
    assert faults[0].message == "'below' is a required property"


class ShoutingParams(Params):
    title: str = Field(description="A parameter with a word that JSON Schema has as well.")
    words: dict[str, int] = Field(default_factory=lambda: {"a": 1}, description="Some numbers.")


class Shouting(Filter[ShoutingParams]):
    """Drop rows in upper case."""

    name = "shouting"

    def reasons(self, batch: Any) -> Any:
        return [None] * batch.num_rows


def test_plugins_of_others_are_in_the_schema() -> None:
    module = SimpleNamespace(
        __name__="theirs", khichdi_filters=hookimpl(lambda: [Shouting], specname="khichdi_filters")
    )
    schema = language_schema(load_registry([module]))
    fields = schema["$defs"]["filter.shouting"]["properties"]
    assert fields["title"]["description"].startswith("A parameter")
    assert fields["words"]["default"] == {"a": 1}
    data = shipped("quickstart.yaml")
    data["mixture"]["filters"] = [{"use": "shouting", "title": "T"}]
    assert validator(schema).is_valid(data)
    assert not language().is_valid(data)
    data["mixture"]["filters"] = [{"use": "shouting", "title": 3}]
    assert not validator(schema).is_valid(data)


def beyond(value: Any) -> bool:
    """Return whether an integer in it is one that no recipe can hold."""
    if isinstance(value, dict | list):
        return any(map(beyond, value.values() if isinstance(value, dict) else value))
    return type(value) is int and abs(value) >= 2**53


EXAMPLES = sized(1_000, few=60)
seen: Counter[bool] = Counter()


@settings(max_examples=EXAMPLES, phases=[Phase.generate])
@given(st.data())
def test_what_one_rejects_the_other_rejects(data: st.DataObject) -> None:
    recipe = value(data.draw, SCHEMA["$defs"]["recipe"], SCHEMA["$defs"])
    for _ in range(data.draw(st.integers(0, 2))):
        recipe = mutated(data.draw, recipe, KEYS)
    if not recipe or "extends" in recipe:
        return
    # A schema cannot bound integers where any number may stand; the parser does so everywhere.
    valid = language().is_valid(recipe) and not beyond(recipe)
    seen[valid] += 1
    assert parser_accepts(as_yaml(recipe)) == valid, recipe


def test_the_property_has_seen_both_answers_often() -> None:
    assert min(seen[True], seen[False]) > EXAMPLES // 6


@settings(max_examples=sized(500, few=40), phases=[Phase.generate])
@given(st.data())
def test_what_the_schema_rejects_in_a_change_the_parser_rejects(data: st.DataObject) -> None:
    whole = {**SCHEMA["$defs"]["recipe_change"], "type": "object"}
    change = value(data.draw, whole, SCHEMA["$defs"])
    change["extends"] = "quickstart.yaml"
    if data.draw(st.booleans()):
        change = mutated(data.draw, change, KEYS)
    if change.get("extends") != "quickstart.yaml":
        return
    parents = {"quickstart.yaml": (shipped_folder() / "quickstart.yaml").read_text("utf-8")}
    if parser_accepts(as_yaml(change), parents):
        language().validate(change)


OTHER = {"source": {"use": "files", "include": ["a"]}, "read": {"use": "jsonl"}}
CHANGES = {
    "one leaf of a data set": {"data": {"tasks": {"read": {"references": "first"}}}},
    "a parameter of a step": {"model": {"adapter": {"r": 8}}},
    "null for a key of the parent": {"mixture": {"validation": None}, "evaluate": None},
    "a step in a list": {"data": {"tasks": {"filters": [{"use": "max-words", "below": 9}]}}},
    "another data set": {"data": {"tasks": None, "b": OTHER}},
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_recipe_that_extends_another_may_state_only(what: str) -> None:
    change = {"extends": "quickstart.yaml", **CHANGES[what]}
    parents = {"quickstart.yaml": (shipped_folder() / "quickstart.yaml").read_text("utf-8")}
    language().validate(change)
    assert parser_accepts(as_yaml(change), parents)


@pytest.mark.parametrize(
    ("parameter", "number", "accepted"),
    [("r", 16.0, True), ("r", 16.5, False), ("r", 2**53 - 1, True), ("r", 2**53, False),
     ("r", 1e20, False), ("r", True, False), ("r", "16", False), ("r", 10**400, False),
     ("dropout", 0, True), ("dropout", False, False)],
)  # fmt: skip
def test_numbers_are_those_of_json(parameter: str, number: Any, accepted: bool) -> None:
    data = shipped("quickstart.yaml")
    data["model"]["adapter"][parameter] = number
    assert language().is_valid(data) == accepted
    assert parser_accepts(as_yaml(data)) == accepted


def test_write_puts_the_schema_beside_the_recipe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["schema"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert main(["schema", "--write"]) == 0
    assert "# yaml-language-server: $schema=recipe.schema.json" in capsys.readouterr().out
    assert json.loads((tmp_path / FILE).read_text("utf-8")) == printed == SCHEMA


def test_new_names_the_schema_it_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["new", "mine", "--from", "quickstart"]) == 0
    lines = (tmp_path / "mine.yaml").read_text("utf-8").splitlines()
    assert lines[:2] == [f"# yaml-language-server: $schema={FILE}", "recipe: 1"]
    assert json.loads((tmp_path / FILE).read_text("utf-8")) == SCHEMA
