"""Every field of a recipe moves the recipe hash, or is declared as not changing results.

And nothing else moves it: comments, order of keys, quoting, indentation, line endings, defaults.
"""

from __future__ import annotations

import contextlib
import copy
import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import language
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError
from sizes import sized

from khichdi.compiler.bind import bound_model
from khichdi.compiler.load import load
from khichdi.compiler.lower import lower
from khichdi.plugins.registry import load_registry
from khichdi.project.bundled_recipes import open_recipe, shipped_folder
from khichdi.schema.document import operational_fields
from khichdi.schema.lock import Lock

OPERATIONAL = {
    "name",
    "description",
    "model.license",
    "data.tasks.expect.rows",
    "data.tasks.expect.tokens_per_row",
    "train.dataloader_num_workers",
    "train.logging_dir",
    "train.report_to",
    "train.save_steps",
    "train.save_total_limit",
    "train.saves_per_epoch",
    "train.weight_cache_gib",
    "train.activation_budget_gib",
    "train.activation_offloading",
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
    ("train", "warmup_ratio"): ("train", "warmup_steps", 0),
    ("train", "activation_budget_gib"): ("train", "gradient_checkpointing", True),
    ("train", "activation_offloading"): ("train", "gradient_checkpointing", True),
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
        yield from ([{"use": "merged"}], ["tensorboard"])
    elif value is None:
        yield from (
            3,
            0.5,
            "eval_loss",
            "text",
            "2026-11-26",
            ["Question Answering"],
            {"tasks": 2.0},
        )
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
        "wrapped",
        "gaussian",
        "fast",
    )
    yield from (*words, ["q_proj"], None, "another-text", "lora_only", "error", "last")


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


# ---- every plugin, and any recipe -----------------------------------------------------------

SLOTS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "source": lambda step: {"data": {"a": {"source": step, "read": {"use": "jsonl"}}}},
    "reader": lambda step: {"data": {"a": {"source": FILES, "read": step}}},
    "filter": lambda step: {"mixture": {"filters": [step]}},
    "scorer": lambda step: {
        "data": {"a": {"source": FILES, "read": {"use": "jsonl"}, "score": step}}
    },
    "sampler": lambda step: {
        "data": {"a": {"source": FILES, "read": {"use": "jsonl"}, "sample": step}}
    },
    "template": lambda step: {"train": {"use": "qlora", "template": step}},
    "quantizer": lambda step: {
        "model": {"base": FILES, "adapter": {"use": "lora"}, "quantization": step}
    },
    "adapter": lambda step: {"model": {"base": FILES, "adapter": step}},
    "runtime": lambda step: {"train": {"template": {"use": "alpaca"}, **step}},
    "evaluator": lambda step: {"evaluate": [step]},
    "exporter": lambda step: {"export": [step]},
    "rule": lambda step: {"rules": [step]},
}
FILES = {"use": "files", "include": ["*"]}
SMALL: dict[str, Any] = {
    "recipe": 1,
    "model": {"base": FILES, "adapter": {"use": "lora"}},
    "data": {"a": {"source": FILES, "read": {"use": "jsonl"}}},
    "train": {"use": "qlora", "template": {"use": "alpaca"}},
}


def asked_hash(data: dict[str, Any]) -> str:
    """Return the recipe hash without a lock, which is over what sources are asked for too."""
    return lower(language.bound(data), language.REGISTRY, None).recipe_hash


def meaning(value: Any) -> Any:
    """Return what can change a result, by the declarations beside the fields alone."""
    if isinstance(value, BaseModel):
        names = type(value).model_fields.keys() - operational_fields(type(value))
        return {name: meaning(getattr(value, name)) for name in names}
    if isinstance(value, dict):
        return {key: meaning(item) for key, item in value.items()}
    return [meaning(item) for item in value] if isinstance(value, tuple) else value


CLASSES = [plugin for kind in SLOTS for plugin in language.REGISTRY.classes(kind)]


@pytest.mark.parametrize("plugin", CLASSES, ids=lambda plugin: f"{plugin.kind}-{plugin.name}")
def test_every_parameter_of_every_plugin_moves_the_hash_or_is_declared(plugin: Any) -> None:
    tried = set()
    more = language.beside(plugin)
    small = {**SMALL, "benchmarks": language.BENCHMARKS} if "against" in more else SMALL
    for name, *both in language.pairs(plugin):
        one, other = (
            asked_hash({**small, **SLOTS[plugin.kind]({"use": plugin.name, **more, **params})})
            for params in both
        )
        declared = plugin.kind == "rule" or name in plugin.operational()
        assert (one == other) == declared, name
        tried.add(name)
    schema = plugin.params_model.model_json_schema().get("properties", {})
    assert tried == {name for name, field in schema.items() if "const" not in field}


def same_hash_means_the_same(one: dict[str, Any], other: dict[str, Any]) -> None:
    means = [meaning(language.bound(data)) for data in (one, other)]
    assert (asked_hash(one) == asked_hash(other)) == (means[0] == means[1])


def changed(data: dict[str, Any], other: dict[str, Any], path: tuple[Any, ...]) -> dict[str, Any]:
    """Return a recipe with another's value at a path, or without it where the other has none."""
    data = copy.deepcopy(data)
    place, source = data, other
    for key in path[:-1]:
        place, source = place[key], source[key]
    if path[-1] in source:
        place[path[-1]] = source[path[-1]]
    else:
        place.pop(path[-1], None)
    return data


def mappings(one: Any, other: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield every path of either that ends in a mapping which both have.

    A step and `validation` change whole: their keys do not go together in every way.
    """
    if not (isinstance(one, dict) and isinstance(other, dict)):
        return
    if not path or ("use" not in one and path[-1] != "validation"):
        for key in sorted(one.keys() | other.keys()):
            yield (*path, key)
            yield from mappings(one.get(key), other.get(key), (*path, key))


def check_changes(data: st.DataObject) -> None:
    one, other = data.draw(language.recipes()), data.draw(language.recipes())
    path = data.draw(st.sampled_from(list(mappings(one, other))))
    after = changed(one, other, path)
    assume(after["data"])  # a recipe has one data set at least
    same_hash_means_the_same(one, after)


def check_writing(data: st.DataObject) -> None:
    recipe = data.draw(language.recipes())
    before = language.bound(recipe)
    rng = random.Random(data.draw(st.integers(0, 2**32)))
    filled = language.with_defaults(recipe, before.to_json(), rng)
    raw = language.Writer(rng).document(filled)
    path = Path("/recipe.yaml")
    after = language.bound(load("recipe.yaml", Path("/"), lambda *_: (path, raw)).data)
    assert after == before, raw.decode()
    one, other = (lower(recipe, language.REGISTRY, None) for recipe in (before, after))
    assert one.recipe_hash == other.recipe_hash


QUICK = settings(
    max_examples=sized(10_000, few=30), deadline=None, suppress_health_check=list(HealthCheck)
)


@QUICK
@given(st.data())
def test_the_hash_moves_when_the_meaning_does(data: st.DataObject) -> None:
    check_changes(data)


@QUICK
@given(st.data())
def test_how_it_is_written_never_moves_the_hash(data: st.DataObject) -> None:
    check_writing(data)
