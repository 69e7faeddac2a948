"""Apply `--set path=value` overrides: a layer over a recipe's files, with positions.

The value is YAML by the rules of recipe files, and it replaces the value at the path. `null`
takes a key away that is there, as it does for a recipe that extends another. Steps of a list are
addressed by name; a mapping that names a plugin which the list does not have is put at its end.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from ...schema.did_you_mean import did_you_mean
from ...schema.errors import Diagnostic, RecipeError
from ...schema.yaml_reader import Mark, Parsed, parse
from ..load import Loaded, Side, take
from .paths import PathError, PathPart, parse_path, step_names

NULL = re.compile(r"\s*(~|null|Null|NULL)\s*(#.*)?")


def with_settings(loaded: Loaded, texts: Sequence[str]) -> Loaded:
    """Return the recipe with values set, in the order they are given.

    What is not `path=value`, or whose path leads nowhere in this recipe, is a fault of the recipe
    that is returned. Values that the language does not allow are found later, with the files'.
    """
    faults: list[Diagnostic] = []
    seen: dict[tuple[tuple[str, bool], ...], _Setting] = {}
    for text in texts:
        try:
            setting = _Setting.read(text)
            where = tuple((part.name, part.is_step) for part in setting.path)
            if where in seen:
                message = f"set twice, first as `{seen[where].text}`"
                fault = setting.fault(setting.path[-1], "set-twice", message, "leave one out")
                raise RecipeError([fault])
            seen[where] = setting
            loaded = setting.applied(loaded)
        except RecipeError as error:
            faults.extend(error.diagnostics)
    return replace(loaded, faults=[*loaded.faults, *faults])


@dataclass(frozen=True)
class _Setting:
    """One `path=value`, read but not yet looked at with a recipe."""

    text: str
    path: list[PathPart]
    value: Parsed

    @staticmethod
    def read(text: str) -> _Setting:
        file = f"--set {text}"
        lines = text.splitlines() or [""]

        def wrong(column: int, message: str, suggestion: str) -> RecipeError:
            source = lines[0]
            diagnostic = Diagnostic(file, 1, column, "set", message, suggestion, source)
            return RecipeError([diagnostic])

        try:
            path, position = parse_path(text, end="=")
        except PathError as error:
            example = "write PATH=VALUE, as in train.sequence_len=4096"
            message = "not a path of a recipe"
            raise wrong(error.position + 1, message, example) from None
        if position == len(text) or not text[position + 1 :].strip():
            example = "write PATH=VALUE; `null` takes the key away"
            raise wrong(len(lines[0]) + 1, "a value is missing", example)
        if path[0].name == "extends":
            message = "`extends` cannot be set"
            raise wrong(1, message, "write a recipe that extends another, and set values of that")
        if NULL.fullmatch(text, position + 1):  # as a whole file it would be an empty one
            mark = Mark(1, position + 2, len(text) - position - 1)
            return _Setting(text, path, Parsed(file, None, lines, {}, {(): mark}))
        try:
            # Spaces in the path's place give every part of the value its column in the option.
            value = parse((" " * (position + 1) + text[position + 1 :]).encode(), file)
        except RecipeError as error:
            if error.diagnostics[0].code == "empty":
                raise wrong(
                    position + 2, "a value is missing", "quote what starts with #"
                ) from None
            faults = [replace(d, source=lines[d.line - 1]) for d in error.diagnostics]
            raise RecipeError(faults) from None
        value.lines[:] = lines
        return _Setting(text, path, value)

    def applied(self, loaded: Loaded) -> Loaded:
        out = replace(loaded, data={}, origins={})
        out.data = self._edit(out, (), (loaded, loaded.data, ()), 0)
        return out

    def fault(
        self, part: PathPart, code: str, message: str, suggestion: str | None = None
    ) -> Diagnostic:
        return self._at(part).diagnose((), code, message, suggestion)

    def _at(self, part: PathPart) -> Parsed:
        mark = Mark(1, part.start + 1, part.end - part.start)
        return Parsed(self.value.file, None, self.value.lines, {(): mark}, {(): mark})

    def _edit(self, out: Loaded, path: tuple[str | int, ...], old: Side, depth: int) -> Any:
        """Return the value at a path with the setting applied somewhere below it."""
        part, value = self.path[depth], old[1]
        out.origins[path] = old[0].origins[old[2]]
        if part.is_step:
            if not isinstance(value, list) or not all(_is_step(item) for item in value):
                owner = self.path[depth - 1].name
                raise RecipeError([self.fault(part, "set", f"`{owner}` is not a list of steps")])
            return self._edit_steps(out, path, old, depth)
        if not isinstance(value, dict):
            raise RecipeError([self._no_mapping(part, value, depth)])
        result: dict[str, Any] = {}
        for key, item in value.items():
            local = (old[0], item, (*old[2], key))
            if key != part.name:
                result[key] = take(out, (*path, key), local)
            elif depth + 1 < len(self.path):
                result[key] = self._edit(out, (*path, key), local, depth + 1)
            elif self.value.data is not None:
                result[key] = self._take(out, (*path, key), old[0].folder(old[2]))
        if part.name not in value:
            result[part.name] = self._make(out, (*path, part.name), old[0].folder(old[2]), depth)
        return result

    def _edit_steps(self, out: Loaded, path: tuple[str | int, ...], old: Side, depth: int) -> Any:
        part, last = self.path[depth], depth + 1 == len(self.path)
        names = step_names([step["use"] for step in old[1]])
        result: list[Any] = []
        for index, step in enumerate(old[1]):
            local, place = (old[0], step, (*old[2], index)), (*path, len(result))
            if names[index] != part.name:
                result.append(take(out, place, local))
            elif not last:
                result.append(self._edit(out, place, local, depth + 1))
            elif self.value.data is not None:
                result.append(self._take(out, place, old[0].folder(old[2])))
        if part.name not in names:
            new = self.value.data
            if not (last and _is_step(new) and new["use"] == part.name):
                raise RecipeError([self._no_step(part, names)])
            result.append(self._take(out, (*path, len(result)), old[0].folder(old[2])))
        return result

    def _make(self, out: Loaded, path: tuple[str | int, ...], folder: Any, depth: int) -> Any:
        """Return the missing containers of a key: mappings down to the value."""
        if depth + 1 == len(self.path):
            return self._take(out, path, folder)
        out.origins[path] = (self._at(self.path[depth]), (), folder)
        empty: Any = [] if self.path[depth + 1].is_step else {}
        return self._edit(out, path, (out, empty, path), depth + 1)

    def _take(self, out: Loaded, path: tuple[str | int, ...], folder: Any) -> Any:
        places = {**self.value.values, **self.value.keys}
        own = Loaded(out.path, {}, [], {p: (self.value, p, folder) for p in places})
        self.value.keys[()] = next(iter(self._at(self.path[-1]).keys.values()))
        return take(out, path, (own, self.value.data, ()))

    def _no_mapping(self, part: PathPart, value: Any, depth: int) -> Diagnostic:
        owner = self.path[depth - 1].name
        if isinstance(value, list) and value and all(_is_step(item) for item in value):
            names = step_names([step["use"] for step in value])
            message = f"`{owner}` is a list of steps, and each goes by its plugin's name"
            return self.fault(part, "set", message, f"write {owner}[NAME]: {', '.join(names)}")
        kind = "a list, which is set whole" if isinstance(value, list) else "one value"
        return self.fault(part, "set", f"`{owner}` is {kind}; it has no `{part.name}`")

    def _no_step(self, part: PathPart, names: list[str]) -> Diagnostic:
        near = did_you_mean(part.name, names).strip()
        suggestion = near or f"there are: {', '.join(names)}"
        if part.name.isdigit():
            suggestion = "a step goes by its plugin's name; a list of values is set whole"
        elif not names:
            suggestion = "give the whole step: {use: " + part.name + ", …}"
        return self.fault(part, "set", f"no step `{part.name}` is in this list", suggestion)


def _is_step(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("use"), str)
