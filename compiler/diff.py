"""Compare two recipes by meaning.

Compared are bound recipes, so order of keys, comments, and defaults written out do not count, nor
does anything that cannot change a result. Steps of a list are matched by plugin name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel

from ..schema.document import operational_fields
from ..schema.lock import Material
from ..schema.plan import Plan
from ..schema.recipe import Recipe
from .language.paths import below, step_names

MISSING = object()

BYTES = "bytes"
VERSIONS = "plugin versions"
SECTIONS = (*Recipe.model_fields, BYTES, VERSIONS)
"""Groups of changes: the keys of a recipe, and files beside it."""


@dataclass(frozen=True)
class FileChange:
    """A file of a source that is not the same on both sides, with its size in bytes on each."""

    path: str
    before: int | None
    after: int | None


@dataclass(frozen=True)
class Change:
    """One value that differs; None means absent, or null.

    `path` reads as the recipe is written. `before_default` and `after_default` mean that a value is
    the language's default, whether or not it is in the file. `files` has, for bytes that differ,
    what happened to each file.
    """

    path: str
    before: Any
    after: Any
    section: str = ""
    kind: Literal["changed", "added", "removed"] = "changed"
    before_default: bool = False
    after_default: bool = False
    files: tuple[FileChange, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return the keys that scripts rely on."""
        return {**vars(self), "files": [vars(one) for one in self.files]}


@dataclass(frozen=True)
class _Leaf:
    value: Any
    is_default: bool


def changes(before: Recipe, after: Recipe) -> list[Change]:
    """Return every value that differs in meaning, by section in the language's order, then by path.

    A part on one side only is one change for each of its values.
    """
    found = []
    for section in Recipe.model_fields:
        if section in operational_fields(Recipe):
            continue
        old, new = (_section(recipe, section) for recipe in (before, after))
        for path in sorted(old.keys() | new.keys()):
            one, other = old.get(path), new.get(path)
            if one is None or other is None or one.value != other.value:
                found.append(_change(path, section, one, other))
    return found


def other_bytes(before: Plan, after: Plan) -> list[Change]:
    """Return the sources, there on both sides and pinned on both, whose bytes differ."""
    pinned = {step.name: step.material for step in before.steps if step.material}
    found = []
    for step in after.steps:
        old = pinned.get(step.name)
        if step.material and old and old.manifest() != step.material.manifest():
            one, other = old.manifest(), step.material.manifest()
            files = _other_files(old, step.material)
            found.append(Change(f"bytes of {step.name}", one, other, BYTES, files=files))
    return found


def _other_files(before: Material, after: Material) -> tuple[FileChange, ...]:
    """Return the files that are new, gone or changed, in the order of their paths."""
    old, new = ({file.path: file for file in one.files} for one in (before, after))
    found = []
    for path in sorted(old.keys() | new.keys()):
        one, other = old.get(path), new.get(path)
        if one is None or other is None or (one.size, one.sha256) != (other.size, other.sha256):
            sizes = (file.size if file else None for file in (one, other))
            found.append(FileChange(path, *sizes))
    return tuple(found)


def other_versions(before: Plan, after: Plan) -> list[Change]:
    """Return the steps of one plugin whose version or plugin file differs."""
    old = {step.name: step.plugin for step in before.steps}
    found = []
    for step in after.steps:
        one, other = old.get(step.name), step.plugin
        if one is None or (one.kind, one.name) != (other.kind, other.name):
            continue
        if one.version != other.version:
            path = f"version of {step.name}"
            found.append(Change(path, one.version, other.version, VERSIONS))
        if one.file != other.file:
            path = f"plugin file of {step.name}"
            found.append(Change(path, one.file, other.file, VERSIONS))
    return found


def _section(recipe: Recipe, name: str) -> dict[str, _Leaf]:
    default = type(recipe).model_fields[name].get_default(call_default_factory=True)
    value = getattr(recipe, name)
    return {} if value is None else dict(_leaves(value, name, default))


def _change(path: str, section: str, one: _Leaf | None, other: _Leaf | None) -> Change:
    return Change(
        path,
        _plain(one.value) if one else None,
        _plain(other.value) if other else None,
        section,
        "added" if one is None else "removed" if other is None else "changed",
        one is not None and one.is_default,
        other is not None and other.is_default,
    )


def _leaves(value: Any, path: str, default: Any) -> Iterator[tuple[str, _Leaf]]:
    """Yield (path, leaf) of everything that can change a result.

    `default` is the value where the recipe has none; where one is required, an object that no value
    equals.
    """
    if isinstance(value, BaseModel):
        skipped = operational_fields(type(value)) | ({"use"} if path.endswith("]") else set())
        for name, field in type(value).model_fields.items():
            if name not in skipped:
                own = field.get_default(call_default_factory=True)
                inherited = getattr(default, name) if type(default) is type(value) else own
                yield from _leaves(getattr(value, name), below(path, name), inherited)
    elif isinstance(value, Mapping) and value:
        defaults = default if isinstance(default, Mapping) else {}
        for name, item in value.items():
            yield from _leaves(item, below(path, name), defaults.get(name, MISSING))
    elif isinstance(value, tuple | list) and any(isinstance(item, BaseModel) for item in value):
        names = step_names([item.use for item in value])
        yield path, _Leaf(names, False)
        for name, item in zip(names, value, strict=True):
            yield from _leaves(item, f"{path}[{name}]", MISSING)
    else:
        yield path, _Leaf(value, bool(value == default))


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
