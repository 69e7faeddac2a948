"""Convert pydantic errors to diagnostics: position, expectation, suggestion."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from functools import cached_property
from itertools import islice
from typing import Any

from pydantic import BaseModel, ValidationError

from ...plugins.registry import UNDECIDED, Registry
from ...schema.did_you_mean import nearest
from ...schema.errors import Diagnostic
from ...schema.recipe import DataSet, Recipe, Step
from ...schema.yaml_reader import Path
from ..foreign_terms import TOOLS, terms_of
from ..language.schema_walk import field_at, home, model_at, place_of, step_kind, steps_of
from ..load import Loaded
from .expectations import Expected, a, short

MOST = 100
"""Errors shown at most; a file that is not a recipe at all would have one in each line."""

NAME_FORM = "names have lower-case letters, digits, dots, dashes and underscores"


def diagnostics(
    error: ValidationError,
    loaded: Loaded,
    registry: Registry,
    root: type[BaseModel],
    known: Collection[Path] = (),
) -> list[Diagnostic]:
    """Return one diagnostic per fault, each at its place in the file that wrote it.

    What follows from a value at one of the `known` paths, which was reported before, is left out.
    """
    return _Explanation(loaded, registry, root).diagnostics(error, known)


def data_path(fault: Any, data: Any) -> Path:
    """Drop the tags of unions from pydantic's location: they are not in the file."""
    path: list[str | int] = []
    location = fault["loc"]
    for index, part in enumerate(location):
        last = index == len(location) - 1
        if isinstance(data, dict):
            tag = data.get("use") == part and not (last and fault["type"] == "extra_forbidden")
            if part in data and not tag:
                path.append(part)
                data = data[part]
            elif last and not tag and fault["type"] == "missing":
                path.append(part)
        elif isinstance(data, list) and isinstance(part, int) and part < len(data):
            path.append(part)
            data = data[part]
    return tuple(path)


class _Explanation:
    """All the faults of one recipe, in the recipe's terms."""

    def __init__(self, loaded: Loaded, registry: Registry, root: type[BaseModel]) -> None:
        self.loaded = loaded
        self.registry = registry
        self.root = root
        self.meant: set[Path] = set()
        """Paths of keys that are there under a misspelt name."""

    def diagnostics(self, error: ValidationError, known: Collection[Path]) -> list[Diagnostic]:
        groups: dict[tuple[Path, bool], list[Any]] = {}
        for fault in error.errors(include_url=False):
            path = data_path(fault, self.loaded.data)
            if self._of_no_account(fault, path, known):
                continue
            groups.setdefault((path, fault["loc"][-1:] == ("[key]",)), []).append(fault)
        # Unknown keys first: what one of them is meant to be is then not missing.
        order = sorted(groups, key=lambda g: groups[g][0]["type"] != "extra_forbidden")
        found: list[Diagnostic] = []
        for path, of_key in order:
            if len(found) == MOST:
                message = f"{len(groups) - MOST:,} more errors not shown"
                found.append(self._at(path, "more", message, "fix these first", key=True))
                break
            diagnostic = self._one(path, groups[path, of_key], of_key)
            if diagnostic is not None:
                found.append(diagnostic)
        return found

    def _of_no_account(self, fault: Any, path: Path, known: Collection[Path]) -> bool:
        """Return whether an error only follows from others that are reported."""
        if any(path[: len(told)] == told or told[: len(path)] == path for told in known):
            return True
        size = {"too_short": "min_length", "too_long": "max_length"}.get(fault["type"])
        value = self._value(path)
        if size is None or not isinstance(value, list | dict):
            return False
        # A list whose items are wrong counts as one without them.
        bound: int = fault["ctx"][size]
        return len(value) >= bound if size == "min_length" else len(value) <= bound

    def _one(self, path: Path, faults: list[Any], of_key: bool) -> Diagnostic | None:
        kind = faults[0]["type"]
        if of_key:
            return self._wrong_key(path, faults[0])
        if kind == "extra_forbidden":
            return self._unknown_key(path)
        if kind == "missing" and path[-1:] != ("use",):
            return self._missing(path)
        if kind in ("missing", "union_tag_not_found"):
            return self._missing_use(path[:-1] if kind == "missing" else path)
        if kind == "union_tag_invalid" or (kind == "literal_error" and path[-1:] == ("use",)):
            return self._unknown_plugin(path)
        return self._wrong_value(path, faults)

    def _at(
        self, path: Path, code: str, message: str, suggestion: str | None = None, key: bool = False
    ) -> Diagnostic:
        return self.loaded.diagnose(path, code, message, suggestion, key=key)

    def _unknown_key(self, path: Path) -> Diagnostic:
        name = str(path[-1])
        word, owner, fields = self._owner(path[:-1])
        there = self._value(path[:-1])
        free = [field for field in fields if field not in there]
        message = f"unknown {word} `{name}` of {owner}"
        place, foreign = place_of(path[:-1]), terms_of("".join(TOOLS))
        term = foreign.exact(name)
        term = None if term and term.is_ours else term
        near = None if term else nearest(name, free) or nearest(name, fields)
        if near:
            self.meant.add((*path[:-1], near))
            suggestion: str | None = f"did you mean `{near}`?"
        elif term is None and (belongs := home(name, self._steps, self.registry)):
            suggestion = belongs
        else:
            term = term or foreign.get(name)
            suggestion = term.hint(place) if term else None
        if not suggestion and fields:
            suggestion = f"known: {', '.join(fields)}"
        return self._at(path, "unknown-key", message, suggestion or "it takes no keys", key=True)

    def _missing(self, path: Path) -> Diagnostic | None:
        if path in self.meant or self.loaded.incomplete:
            return None
        _, owner, _ = self._owner(path[:-1])
        message, suggestion = f"{owner} needs `{path[-1]}`", None
        if len(path) == 3 and path[0] == "data":
            # A misspelt name makes a data set of its own beside the one that it was to change.
            near = nearest(str(path[1]), [n for n in self.loaded.data["data"] if n != path[1]])
            suggestion = f"did you mean the data set `{near}`?" if near else None
        if suggestion is None:
            field = field_at(self.root, self.loaded.data, path)
            suggestion = field.description if field else None
        return self._at(path[:-1], "missing", message, suggestion, key=True)

    def _missing_use(self, path: Path) -> Diagnostic | None:
        kind = self._kind(path)
        there = self._value(path)
        meant = nearest("use", there) if isinstance(there, dict) else None
        if meant is None and isinstance(there, dict) and "type" in there:
            meant = "type"
        if meant is not None:
            message = f"unknown key `{meant}` of {a(kind)}"
            return self._at((*path, meant), "unknown-key", message, "did you mean `use`?", key=True)
        if self.loaded.incomplete:
            return None
        message = f"which {kind}? `use: NAME` is missing"
        return self._at(path, "missing-use", message, self._installed(kind), key=True)

    def _unknown_plugin(self, path: Path) -> Diagnostic:
        path = path if path[-1:] == ("use",) else (*path, "use")
        kind = self._kind(path[:-1]) or "plugin"
        name = self._value(path)
        if not isinstance(name, str):
            message = f"`use` takes the name of {a(kind)}, got {short(name)}"
            return self._at(path, "wrong-type", message, self._installed(kind))
        if name == UNDECIDED:
            message = f"`{name}` stands for {a(kind)} that is still to be decided"
            return self._at(path, "undecided", message, self._installed(kind))
        near = nearest(name, self.registry.names(kind))
        suggestion = f"did you mean `{near}`?" if near else self._elsewhere(name, kind)
        message = f"no {kind} named `{short(name, quote=False)}` is installed"
        return self._at(path, "unknown-plugin", message, suggestion or self._installed(kind))

    def _elsewhere(self, name: str, kind: str) -> str | None:
        """Return the kind that a name belongs to: `lora` is not a quantizer, but an adapter."""
        for entry in self.registry:
            if entry.plugin.name == name:
                return f"{a(entry.plugin.kind)} is named so; {self._installed(kind)}"
        return None

    def _wrong_key(self, path: Path, fault: Any) -> Diagnostic:
        expected = Expected([fault], str(path[-1]), None)
        message = f"`{path[-1]}` must be {expected.text()}"
        near = expected.nearest_choice()
        suggestion = f"did you mean `{near}`?" if near else None
        if path[0] in ("data", "benchmarks") and len(path) == 2:
            message = f"`{path[-1]}` cannot be a name; {NAME_FORM}"
            better = re.sub(r"[^a-z0-9._-]+", "-", str(path[-1]).lower()).strip("._-")[:60]
            suggestion = f"did you mean `{better}`?" if better else None
        return self._at(path, "wrong-value", message, suggestion, key=True)

    def _wrong_value(self, path: Path, faults: Sequence[Any]) -> Diagnostic:
        value = self._value(path)
        if faults[0]["type"] == "value_error":
            text = faults[0]["msg"].removeprefix("Value error, ")
            key = isinstance(value, dict)
            named = re.findall(r"`(\w+)`", text) if key else []
            # A fault of several values stands at the first that the message names.
            first = next((name for name in named if name in value), None)
            return self._at((*path, first) if first else path, "contradiction", text, key=key)
        name = f"`{path[-1]}`" if path and isinstance(path[-1], str) else "the recipe"
        if path and isinstance(path[-1], int):
            words = [part for part in path if isinstance(part, str)]
            name = f"an item of `{words[-1]}`"
        expected = Expected(faults, value, field_at(self.root, self.loaded.data, path))
        code = "wrong-type" if expected.is_type else "wrong-value"
        message = f"{name} must be {expected.text()}, got {short(value)}"
        return self._at(path, code, message, self._instead(path, expected))

    def _instead(self, path: Path, expected: Expected) -> str | None:
        """Return what may have been meant by a value that cannot be."""
        value, kind = self._value(path), self._kind(path)
        if isinstance(value, str) and kind and expected.is_type:
            near = nearest(value, self.registry.names(kind))
            if near:
                return f"did you mean `{{use: {near}}}`?"
        return expected.suggestion()

    @cached_property
    def _steps(self) -> list[tuple[Path, str]]:
        """The first steps that the recipe names, which are all of any that a person wrote."""
        return list(islice(steps_of(self.loaded.data), 1000))

    def _value(self, path: Path) -> Any:
        value: Any = self.loaded.data
        for part in path:
            try:
                value = value[part]
            except (KeyError, IndexError, TypeError):
                return None
        return value

    def _installed(self, kind: str | None) -> str | None:
        names = self.registry.names(kind) if kind else []
        return f"installed: {', '.join(names)}" if names else None

    def _kind(self, path: Path) -> str | None:
        """Return the kind of plugin at a path; also of sources that a plugin asks for."""
        if len(path) > 2 and step_kind(path[:-2]) == "evaluator":
            use = self._value((*path[:-2], "use"))
            if use in self.registry.names("evaluator"):
                plugin: Any = self.registry.get("evaluator", use).plugin
                return "source" if path[-2] in plugin.sources else None
        if path and step_kind(path[:-1]) == "filter":
            use = self._value((*path[:-1], "use"))
            if use in self.registry.names("filter"):
                plugin = self.registry.get("filter", use).plugin
                return "source" if path[-1] in plugin.sources else None
        return step_kind(path)

    def _owner(self, path: Path) -> tuple[str, str, list[str]]:
        """Return the words for a mapping's keys and for itself, and the keys it takes."""
        model = model_at(self.root, self.loaded.data, path)
        fields = list(model.model_fields) if model else []
        kind = self._kind(path)
        if model is not None and issubclass(model, Step) and kind:
            use = self._value((*path, "use"))
            return "parameter", f"{kind} `{use}`", [f for f in fields if f != "use"]
        if model is not None and issubclass(model, Recipe):
            return "key", "a recipe", [*fields, "extends"]
        if model is not None and issubclass(model, DataSet):
            return "key", f"data set `{path[-1]}`", fields
        return "key", f"`{path[-1]}`" if path else "a recipe", fields
