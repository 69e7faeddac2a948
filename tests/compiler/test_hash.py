"""Every field of a recipe moves the recipe hash, or is declared as not changing results."""

from __future__ import annotations

import contextlib
import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from khichdi.cli.shipped import open_recipe, shipped_folder
from khichdi.compiler.bind import bound_model
from khichdi.compiler.load import load
from khichdi.compiler.lower import lower
from khichdi.plugins.registry import load_registry
from khichdi.schema.lock import Lock
from pydantic import ValidationError

OPERATIONAL = {
    "name",
    "description",
    "model.license",
    "train.dataloader_num_workers",
    "train.save_steps",
    "train.save_total_limit",
    "train.weight_cache_gib",
    "evaluate.0.weight_cache_gib",
    "rules",
}
"""What a recipe may change and keep its hash. Sources are apart: what they may change is bytes."""

REGISTRY = load_registry()
MODEL = bound_model(REGISTRY)


def bound() -> Any:
    data = load("quickstart", Path.cwd(), open_recipe).data
    return MODEL.model_validate_json(json.dumps(data), strict=True).model_dump(mode="json")


NO_OTHER = {("recipe",), ("data", "tasks", "score"), ("model", "adapter", "bias")}
"""Fields that have one value only, as things are."""

FREED = {
    ("model", "quantization", "bits"): ("model", "quantization", "double_quant", False),
    ("train", "max_steps"): ("train", "warmup_steps", 0),
    ("mixture", "validation", "fraction"): ("mixture", "validation", "count", None),
}
"""Fields that another has to make room for: its path and value."""


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from leaves(item, (*path, key))
    elif isinstance(value, list) and value and isinstance(value[0], dict):
        for index, item in enumerate(value):
            yield from leaves(item, (*path, index))
    else:
        yield path


def others(value: Any) -> Iterator[Any]:
    """Yield values to try in a value's place."""
    if isinstance(value, bool):
        yield not value
    elif isinstance(value, int | float):
        yield from (value + 1, value / 2, 4, 8)
    elif isinstance(value, list):
        yield from ([*value, "Category"], ["output"], ["q_proj"])
        yield [{"use": "licenses", "allow": ["apache-2.0"]}]
    elif value is None:
        yield from (3, 0.5, "eval_loss", "text", ["Question Answering"], {"tasks": 2.0})
    words = (
        "fp4",
        "float16",
        "by-source",
        "adamw_8bit",
        "linear",
        "sdpa",
        "lower",
        "keep",
        "first",
        "drop",
    )
    yield from (*words, ["q_proj"], None, "another-text", "lora_only", "error")


FIELDS = [
    path
    for path in leaves(bound())
    if path not in NO_OTHER and path[-1] != "use" and "source" not in path
    and path[:2] != ("model", "base")
]  # fmt: skip


def put(data: Any, path: tuple[Any, ...], value: Any) -> Any:
    data = copy.deepcopy(data)
    place = data
    for part in path[:-1]:
        place = place[part]
    place[path[-1]] = value
    return data


def recipe_hash(data: Any) -> str:
    lock = Lock.from_json((shipped_folder() / "quickstart.lock").read_bytes(), "quickstart.lock")
    recipe = MODEL.model_validate_json(json.dumps(data), strict=True)
    return lower(recipe, REGISTRY, lock).recipe_hash


@pytest.mark.parametrize("path", FIELDS, ids=lambda path: ".".join(map(str, path)))
def test_a_changed_field_moves_the_hash_or_is_declared(path: tuple[Any, ...]) -> None:
    data = bound()
    before = recipe_hash(data)
    value = data
    for part in path:
        value = value[part]
    if path in FREED:
        *freed, room = FREED[path]
        data = put(data, tuple(freed), room)
        with contextlib.suppress(ValidationError):
            before = recipe_hash(data)
    for other in others(value):
        if other == value:
            continue
        try:
            changed = recipe_hash(put(data, path, other))
        except ValidationError:
            continue
        assert (changed == before) == (".".join(map(str, path)) in OPERATIONAL)
        return
    pytest.fail(f"no other value is valid for {path}, {value!r}: add one to `others`")


def test_the_fields_that_keep_the_hash_are_all_there() -> None:
    assert {".".join(map(str, path)) for path in FIELDS} >= OPERATIONAL
    assert len(FIELDS) > 60
