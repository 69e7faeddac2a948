"""Walk the language: the model of each mapping, and where a key belongs."""

from __future__ import annotations

import types
from collections.abc import Iterator
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from ...plugins.registry import Registry
from ...schema.recipe import (
    Benchmark,
    DataSet,
    Expect,
    Mixture,
    Model,
    Recipe,
    Tokens,
    Train,
    Validation,
)
from ...schema.yaml_reader import Path

KIND_OF_KEY = {
    "base": "source",
    "source": "source",
    "read": "reader",
    "filters": "filter",
    "score": "scorer",
    "sample": "sampler",
    "template": "template",
    "quantization": "quantizer",
    "adapter": "adapter",
    "train": "runtime",
    "evaluate": "evaluator",
    "export": "exporter",
    "rules": "rule",
}
"""The kind of plugin that is named below a key of the language."""

SECTIONS: dict[str, type[BaseModel]] = {
    "": Recipe,
    "model": Model,
    "model.tokens": Tokens,
    "data.NAME": DataSet,
    "data.NAME.expect": Expect,
    "benchmarks.NAME": Benchmark,
    "mixture": Mixture,
    "mixture.validation": Validation,
    "train": Train,
}
"""The fixed mappings of the language, by place."""


def step_kind(path: Path) -> str | None:
    """Return the kind of plugin that a path of the recipe names, or None."""
    words = [part for part in path if isinstance(part, str)]
    if len(words) >= 2 and words[0] in ("data", "benchmarks"):
        words = words[2:]
    return KIND_OF_KEY.get(words[-1]) if words else None


def place_of(path: Path) -> str:
    """Return a path as the documentation writes it: names of data sets and positions left out."""
    words = [part for part in path if isinstance(part, str)]
    if len(words) >= 2 and words[0] in ("data", "benchmarks"):
        words[1] = "NAME"
    return ".".join(words)


def model_at(root: type[BaseModel], data: Any, path: Path) -> type[BaseModel] | None:
    """Return the model of the mapping at a path, or None where the language has no fixed one."""
    annotation: Any = root
    for part in path:
        model = _model(annotation, data)
        if model is not None:
            field = model.model_fields.get(str(part))
            if field is None:
                return None
            annotation = field.annotation
        else:
            annotation = _item(annotation)
        try:
            data = data[part]
        except (KeyError, IndexError, TypeError):
            data = None
    return _model(annotation, data)


def field_at(root: type[BaseModel], data: Any, path: Path) -> FieldInfo | None:
    """Return the field that is written at a path, or None."""
    model = model_at(root, data, path[:-1]) if path else None
    return model.model_fields.get(str(path[-1])) if model else None


def _options(annotation: Any) -> list[Any]:
    """Return the members of a union, or the annotation alone; None and `Annotated` are stripped."""
    while get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    if get_origin(annotation) in (Union, types.UnionType):
        members = [m for m in get_args(annotation) if m is not type(None)]
        return [option for member in members for option in _options(member)]
    return [annotation]


def _model(annotation: Any, data: Any) -> type[BaseModel] | None:
    models = [m for m in _options(annotation) if isinstance(m, type) and issubclass(m, BaseModel)]
    if len(models) == 1:
        return models[0]
    use = data.get("use") if isinstance(data, dict) else None
    for model in models:
        field = model.model_fields.get("use")
        if field is not None and use in get_args(field.annotation):
            return model
    return None


def _item(annotation: Any) -> Any:
    """Return the schema of the items of a list or the values of a mapping."""
    for option in _options(annotation):
        if get_origin(option) in (tuple, list):
            return get_args(option)[0]
        if get_origin(option) is dict:
            return get_args(option)[1]
    return None


def home(name: str, steps: list[tuple[Path, str]], registry: Registry) -> str | None:
    """Return where a word of the language belongs, or None for a word that it does not have.

    A plugin that the recipe uses comes first: `steps` has the place and name of each.
    """
    for place, model in SECTIONS.items():
        if name in model.model_fields and name != "use":
            return f"it belongs in `{place}`" if place else "it belongs at the top of the recipe"
    for path, use in steps:
        kind = step_kind(path)
        if kind and name in _fields(registry, kind, use):
            return f"it belongs in `{place_of(path)}`, a parameter of {kind} `{use}`"
    for kind in dict.fromkeys(KIND_OF_KEY.values()):
        for use in registry.names(kind):
            if name in _fields(registry, kind, use):
                return f"it is a parameter of {kind} `{use}`"
    return None


def _fields(registry: Registry, kind: str, use: str) -> frozenset[str]:
    if use not in registry.names(kind):
        return frozenset()
    return frozenset(registry.get(kind, use).plugin.params_model.model_fields)


def steps_of(data: Any, path: Path = ()) -> Iterator[tuple[Path, str]]:
    """Yield the path and plugin of each step that a recipe names."""
    if isinstance(data, dict):
        if isinstance(data.get("use"), str):
            yield path, data["use"]
        for key, value in data.items():
            yield from steps_of(value, (*path, key))
    elif isinstance(data, list):
        for index, value in enumerate(data):
            yield from steps_of(value, (*path, index))
