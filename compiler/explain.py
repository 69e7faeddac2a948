"""Turns what pydantic found into diagnostics: the place, what was expected, what was meant."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any

from pydantic import BaseModel, ValidationError

from ..plugins.registry import Registry
from ..schema.errors import Diagnostic
from ..schema.recipe import Benchmark, DataSet, Mixture, Model, Recipe, Train, Validation
from ..schema.yaml import Path
from .load import Loaded
from .words import OTHER_WORDS

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
    "rules": "rule",
}
"""The kind of plugin that is named below a key of the language."""


def diagnostics(error: ValidationError, loaded: Loaded, registry: Registry) -> list[Diagnostic]:
    """Return one diagnostic per fault, each at its place in the file that wrote it."""
    found = []
    for fault in error.errors(include_url=False):
        path = _data_path(fault["loc"], loaded.data)
        if not _follows(fault):
            found.append(_Fault(fault, path, loaded, registry).diagnostic())
    return found


def _follows(fault: Any) -> bool:
    """Return whether a list is only too short for pydantic because its items are at fault."""
    return bool(fault["type"] == "too_short" and len(fault["input"]) >= fault["ctx"]["min_length"])


def step_kind(path: Path) -> str | None:
    """Return the kind of plugin that a path of the recipe names, or None."""
    words = [part for part in path if isinstance(part, str)]
    if len(words) >= 2 and words[0] in ("data", "benchmarks"):
        words = words[2:]
    return KIND_OF_KEY.get(words[-1]) if words else None


def _data_path(location: Iterable[str | int], data: Any) -> Path:
    """Drop from pydantic's location what is not in the file: the tags of unions."""
    path: list[str | int] = []
    parts = list(location)
    for index, part in enumerate(parts):
        inside = isinstance(data, dict) and part in data
        inside = inside or (isinstance(data, list) and isinstance(part, int))
        if inside:
            path.append(part)
            data = data[part]
        elif index == len(parts) - 1 and not _is_tag(part, data):
            path.append(part)
    return tuple(path)


def _is_tag(part: str | int, data: Any) -> bool:
    return isinstance(data, dict) and data.get("use") == part


class _Fault:
    """One fault of pydantic's, in the recipe's terms."""

    def __init__(self, fault: Any, path: Path, loaded: Loaded, registry: Registry) -> None:
        self.fault = fault
        self.path = path
        self.loaded = loaded
        self.registry = registry

    def diagnostic(self) -> Diagnostic:
        kind = self.fault["type"]
        if kind == "extra_forbidden":
            return self._unknown_key()
        if kind == "missing":
            return self._missing()
        if kind == "union_tag_not_found":
            plugin = self._kind(self.path)
            message = f"which {plugin}? `use: NAME` is missing"
            return self._at(self.path, "missing-use", message, self._installed(plugin), key=True)
        if kind == "union_tag_invalid" or (kind == "literal_error" and self.path[-1:] == ("use",)):
            return self._unknown_plugin()
        return self._wrong_value()

    def _at(
        self, path: Path, code: str, message: str, suggestion: str | None = None, key: bool = False
    ) -> Diagnostic:
        return self.loaded.diagnose(path, code, message, suggestion, key=key)

    def _unknown_key(self) -> Diagnostic:
        name = str(self.path[-1])
        owner, fields = self._owner(self.path[:-1])
        message = f"unknown {'parameter' if ' `' in owner else 'key'} `{name}` of {owner}"
        near = get_close_matches(name, fields, n=1, cutoff=0.7)
        if near:
            suggestion = f"did you mean `{near[0]}`?"
        elif name in OTHER_WORDS:
            suggestion = f"another tool's word; here it is {OTHER_WORDS[name]}"
        else:
            suggestion = f"known: {', '.join(fields)}" if fields else "it takes no parameters"
        return self._at(self.path, "unknown-key", message, suggestion, key=True)

    def _missing(self) -> Diagnostic:
        name = self.path[-1]
        if self.fault["loc"][-1] == "use" or name == "use":
            plugin = self._kind(self.path[:-1])
            message = f"which {plugin}? `use: NAME` is missing"
            return self._at(self.path[:-1], "missing-use", message, self._installed(plugin), True)
        owner, _ = self._owner(self.path[:-1])
        return self._at(self.path[:-1], "missing", f"{owner} needs `{name}`", key=True)

    def _unknown_plugin(self) -> Diagnostic:
        path = self.path if self.path[-1:] == ("use",) else (*self.path, "use")
        kind = self._kind(path[:-1]) or "plugin"
        name = self._value(path)
        if not isinstance(name, str):
            return self._at(path, "wrong-type", f"`use` takes the name of a {kind}")
        near = get_close_matches(name, self.registry.names(kind), n=1)
        suggestion = f"did you mean `{near[0]}`?" if near else self._installed(kind)
        return self._at(
            path, "unknown-plugin", f"no {kind} named `{name}` is installed", suggestion
        )

    def _wrong_value(self) -> Diagnostic:
        value = self._value(self.path)
        name = self.path[-1] if self.path else "the recipe"
        text = self.fault["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
        if self.fault["type"] == "value_error":
            return self._at(self.path, "contradiction", text, key=isinstance(value, dict))
        got = f", got {_short(value)}" if not isinstance(value, dict | list) else ""
        if isinstance(value, dict | list):
            got = f", got a {'mapping' if isinstance(value, dict) else 'list'}"
        near = None
        if self.fault["type"] == "literal_error" and isinstance(value, str):
            choices = [word.strip("' ") for word in text.replace(" or ", ",").split(",")]
            near = next(iter(get_close_matches(value, choices, n=1)), None)
        suggestion = f"did you mean `{near}`?" if near else None
        return self._at(self.path, "wrong-value", f"`{name}` must be {text}{got}", suggestion)

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
        """Return the kind of plugin at a path; also of the sources that a filter asks for."""
        if path and step_kind(path[:-1]) == "filter":
            use = self._value((*path[:-1], "use"))
            if use in self.registry.names("filter") and path[-1] in self._added(use):
                return "source"
        return step_kind(path)

    def _added(self, use: str) -> list[str]:
        """Return the words that the language puts beside a filter's parameters."""
        plugin: Any = self.registry.get("filter", use).plugin
        return [*plugin.sources, *(["against"] if plugin.uses_benchmarks else [])]

    def _owner(self, path: Path) -> tuple[str, list[str]]:
        """Return what a mapping is called, and the keys it takes."""
        kind = self._kind(path)
        use = self._value((*path, "use"))
        if kind and use in self.registry.names(kind):
            fields = list(self.registry.get(kind, use).plugin.params_model.model_fields)
            if kind == "runtime":
                fields += [name for name in Train.model_fields if name != "use"]
            if kind == "filter":
                fields += self._added(use)
            return f"{kind} `{use}`", fields
        model = _section(path)
        extra = ["extends"] if model is Recipe else []
        name = f"`{path[-1]}`" if path else "a recipe"
        return name, [*model.model_fields, *extra] if model else []


def _section(path: Path) -> type[BaseModel] | None:
    if len(path) == 2 and path[0] in ("data", "benchmarks"):
        return DataSet if path[0] == "data" else Benchmark
    sections: dict[Path, type[BaseModel]] = {
        (): Recipe,
        ("model",): Model,
        ("mixture",): Mixture,
        ("mixture", "validation"): Validation,
    }
    return sections.get(path)


def _short(value: Any) -> str:
    if value is None:
        return "nothing"
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."
