"""What differs in meaning between two recipes, and which steps that makes run again.

Compared are bound recipes, so order of keys, comments, and defaults written out do not count, nor
does anything that cannot change a result. Steps of a list go by the name of their plugin.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from ..schema.document import operational_fields
from ..schema.plan import Plan
from ..schema.recipe import Recipe

MISSING = object()


@dataclass(frozen=True)
class Change:
    """One value that differs; None stands for not there. `path` reads as the recipe is written."""

    path: str
    before: Any
    after: Any


def changes(before: Recipe, after: Recipe) -> list[Change]:
    """Return every value that differs in meaning, in order of its path.

    A value that is there on one side only is a change from or to None, one for each leaf.
    """
    old, new = dict(_leaves(before)), dict(_leaves(after))
    found = []
    for path in sorted(old.keys() | new.keys()):
        one, other = old.get(path, MISSING), new.get(path, MISSING)
        if one is MISSING or other is MISSING or one != other:
            found.append(Change(path, _plain(one), _plain(other)))
    return found


def other_bytes(before: Plan, after: Plan) -> list[Change]:
    """Return the sources, there on both sides and pinned on both, whose bytes differ."""
    pinned = {step.name: step.material for step in before.steps if step.material}
    found = []
    for step in after.steps:
        old = pinned.get(step.name)
        if step.material and old and old.manifest() != step.material.manifest():
            found.append(Change(f"bytes of {step.name}", old.manifest(), step.material.manifest()))
    return found


def reruns(before: Plan, after: Plan) -> list[str]:
    """Return the steps of `after` whose result a run of `before` does not give."""
    keys = {step.key for step in before.steps}
    return [step.name for step in after.steps if step.key not in keys]


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield (path, value) of everything that can change a result."""
    if isinstance(value, BaseModel):
        skipped = operational_fields(type(value)) | ({"use"} if path.endswith("]") else set())
        for name in type(value).model_fields:
            if name not in skipped:
                yield from _leaves(getattr(value, name), f"{path}.{name}" if path else name)
    elif isinstance(value, Mapping):
        for name, item in value.items():
            yield from _leaves(item, f"{path}.{name}")
    elif isinstance(value, tuple | list) and any(isinstance(item, BaseModel) for item in value):
        names = _names([item.use for item in value])
        yield path, names
        for name, item in zip(names, value, strict=True):
            yield from _leaves(item, f"{path}[{name}]")
    else:
        yield path, value


def _names(uses: list[str]) -> list[str]:
    """Number the second and later steps of one plugin, as plans do."""
    return [
        use if use not in uses[:index] else f"{use}-{uses[: index + 1].count(use)}"
        for index, use in enumerate(uses)
    ]


def _plain(value: Any) -> Any:
    if value is MISSING:
        return None
    return list(value) if isinstance(value, tuple) else value
