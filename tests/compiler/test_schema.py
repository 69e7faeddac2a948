"""The JSON Schema and the parser agree on structure."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from khichdi.cli.schema import language_schema
from khichdi.cli.shipped import open_recipe, shipped_recipes
from khichdi.compiler.bind import bound_model
from khichdi.compiler.load import load
from khichdi.plugins.registry import load_registry
from pydantic import ValidationError


@pytest.fixture(scope="module")
def schema() -> Any:
    return language_schema()


def recipe(name: str) -> Any:
    return load(name, Path.cwd(), open_recipe).data


def test_the_schema_is_a_valid_schema(schema: Any) -> None:
    jsonschema.Draft202012Validator.check_schema(schema)


@pytest.mark.parametrize("name", [path.name for path in shipped_recipes()])
def test_every_shipped_recipe_is_valid_by_the_schema(schema: Any, name: str) -> None:
    jsonschema.Draft202012Validator(schema).validate(recipe(name))


def test_every_field_has_a_description(schema: Any) -> None:
    bare = [
        f"{name}.{field}"
        for name, definition in schema["$defs"].items()
        for field, body in definition.get("properties", {}).items()
        if "description" not in body
    ]
    assert bare == []


def mutations(data: Any, path: tuple[Any, ...] = ()) -> Any:
    """Yield (what, changed copy) for each mapping: a key too many; for each leaf: a wrong type."""
    if isinstance(data, dict):
        yield ("a key too many", path, lambda d: d.update({"zz": 1}))
        for key, value in data.items():
            yield from mutations(value, (*path, key))
    elif isinstance(data, list):
        for index, value in enumerate(data[:2]):
            yield from mutations(value, (*path, index))
    elif path:
        yield ("a list for a value", path, None)


def changed(data: Any, path: tuple[Any, ...], change: Any) -> Any:
    data = copy.deepcopy(data)
    place = data
    for part in path[:-1] if change is None else path:
        place = place[part]
    if change is None:
        place[path[-1]] = [[1]]
    else:
        change(place)
    return data


@pytest.mark.parametrize("name", ["quickstart.yaml", "smollm2-135m.yaml"])
def test_what_one_rejects_the_other_rejects(schema: Any, name: str) -> None:
    validator = jsonschema.Draft202012Validator(schema)
    model = bound_model(load_registry())
    data = recipe(name)
    tried = 0
    for what, path, change in mutations(data):
        wrong = changed(data, path, change)
        tried += 1
        accepted = True
        try:
            model.model_validate_json(json.dumps(wrong), strict=True)
        except ValidationError:
            accepted = False
        assert accepted == validator.is_valid(wrong), f"{what} at {path}"
        assert not accepted, f"{what} at {path}"
    assert tried > 50
