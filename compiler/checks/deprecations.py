"""Warn about deprecated plugins and parameters in a recipe."""

from __future__ import annotations

from typing import Any

from ...plugins.registry import Registry
from ...schema.errors import Diagnostic
from ..language.schema_walk import step_kind, steps_of
from ..load import Loaded


def deprecated(loaded: Loaded, registry: Registry) -> list[Diagnostic]:
    """Return a diagnostic for each deprecated plugin and parameter that a valid recipe names."""
    found = []
    for path, use in steps_of(loaded.data):
        kind = step_kind(path)
        if kind is None or use not in registry.names(kind):
            continue
        plugin = registry.get(kind, use).plugin
        if plugin.deprecated:
            found.append(_diagnostic(loaded, (*path, "use"), f"{kind} `{use}`", plugin.deprecated))
        for name, field in plugin.params_model.model_fields.items():
            if field.deprecated and name in _mapping(loaded.data, path):
                what = f"`{name}` of {kind} `{use}`"
                found.append(
                    _diagnostic(loaded, (*path, name), what, field.deprecation_message, key=True)
                )
    return found


def _diagnostic(
    loaded: Loaded, path: Any, what: str, instead: str | None, *, key: bool = False
) -> Diagnostic:
    message = f"{what} is deprecated and will go"
    # pydantic calls a field "deprecated" whose author says no more.
    hint = instead if instead != "deprecated" else None
    return loaded.diagnose(path, "deprecated", message, hint, key=key)


def _mapping(data: Any, path: Any) -> Any:
    for part in path:
        data = data[part]
    return data
