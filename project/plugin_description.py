"""Describe plugins: parameters with types, defaults and meanings, and a valid example."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError

from ..compiler.bind import step_models
from ..compiler.language.json_schema import language_schema
from ..compiler.language.type_names import value_words
from ..plugins.kinds import KINDS
from ..plugins.registry import Registered, Registry, load_registry
from ..schema.did_you_mean import did_you_mean
from ..schema.errors import InputError, RegistryError


def list_plugins(kind: str | None = None, words: Sequence[str] = ()) -> list[dict[str, Any]]:
    """Return a document for each installed plugin, of one kind if given.

    Args:
        kind: the kind.
        words: other words that may have been meant, for the hint.

    Raises:
        InputError: there is no such kind.
    """
    if kind is not None and kind not in KINDS:
        known = (*KINDS, *words)
        hint = f"{did_you_mean(kind, known)}known: {', '.join(known)}"
        raise InputError(f"there is no kind `{kind}`", hint=hint)
    return [
        {
            "kind": entry.plugin.kind,
            "name": entry.plugin.name,
            "version": entry.plugin.version,
            "distribution": f"{entry.distribution.name} {entry.distribution.version}",
            "summary": entry.plugin.summary(),
        }
        for entry in load_registry()
        if kind in (None, entry.plugin.kind)
    ]


def describe_plugins(names: Sequence[str], kind: str | None = None) -> list[dict[str, Any]]:
    """Return a document for each plugin that is named, as NAME or KIND/NAME.

    Raises:
        RegistryError: there is no such plugin, or its example does not validate.
    """
    registry = load_registry()
    prefix = f"{kind}/" if kind else ""
    return [
        describe(registry, registry.find(name if "/" in name else prefix + name)) for name in names
    ]


def describe(registry: Registry, entry: Registered) -> dict[str, Any]:
    """Return the JSON document of a plugin."""
    plugin = entry.plugin
    body = language_schema(registry)["$defs"][f"{plugin.kind}.{plugin.name}"]
    required = body.get("required", ())
    return {
        "kind": plugin.kind,
        "name": plugin.name,
        "version": plugin.version,
        "distribution": f"{entry.distribution.name} {entry.distribution.version}",
        "summary": plugin.summary(),
        "deprecated": plugin.deprecated,
        "requires": list(plugin.requires),
        "parameters": [
            {
                "name": key,
                "takes": value_words(schema) or "a step",
                "required": key in required,
                **({"default": schema["default"]} if "default" in schema else {}),
                "operational": bool(schema.get("x-operational")),
                "description": schema["description"],
            }
            for key, schema in body["properties"].items()
            if key != "use"
        ],
        "example": _example(registry, entry),
    }


def _example(registry: Registry, entry: Registered) -> dict[str, Any]:
    plugin = entry.plugin
    step = plugin.example_step()
    model = step_models(registry)[plugin.kind][plugin.name]
    try:
        model.model_validate_json(json.dumps(step), strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the parameters"
        raise RegistryError(
            f"{entry.distribution.name}: the example of {plugin.kind} `{plugin.name}` "
            f"does not validate: {place}: {first['msg']}",
            hint="its author gives one that does by the class attribute `example`",
        ) from None
    return step
