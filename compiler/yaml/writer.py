"""Write a recipe as YAML, one line per value, with comments."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ..language.paths import Segment, below, step_names

WIDTH = 100
"""A list that is longer stands in a block."""

Place = tuple[str | int, ...]
"""Where a value is in a document: keys and positions."""


@dataclass(frozen=True)
class Line:
    """A line of YAML; `path` is of the value that starts on it, or None for a block or its item."""

    text: str
    place: Place
    path: str | None


def layout(document: dict[str, Any]) -> list[Line]:
    """Return a document of JSON values as YAML: mappings and steps in blocks, the rest on a line.

    Read again, the lines give the same document.
    """
    return list(_mapping(document, (), "", "", ""))


def find(document: Any, segments: Sequence[Segment]) -> tuple[Place | None, list[str]]:
    """Return the place of a path, or None and the names that there are where it goes wrong."""
    place: Place = ()
    for segment in segments:
        names: dict[str, str | int] = {}
        if segment.is_step and _is_steps(document):
            uses = step_names([item["use"] for item in document])
            names = {name: index for index, name in enumerate(uses)}
        elif not segment.is_step and isinstance(document, dict):
            names = {key: key for key in document}
        if segment.name not in names:
            return None, list(names)
        place = (*place, names[segment.name])
        document = document[names[segment.name]]
    return place, []


def _mapping(
    value: dict[str, Any], place: Place, path: str, indent: str, first: str
) -> Iterator[Line]:
    """Yield the lines of a mapping; `first` is the indent of its first line, in a list `- `."""
    for key in sorted(value, key=lambda key: key != "use"):
        yield from _entry(key, value[key], (*place, key), below(path, key), first or indent, indent)
        first = ""


def _entry(
    key: str, value: Any, place: Place, path: str, first: str, indent: str
) -> Iterator[Line]:
    name = f"{first}{_scalar(key)}:"
    if isinstance(value, dict) and value:
        yield Line(name, place, None)
        yield from _mapping(value, place, path, indent + "  ", "")
    elif _is_steps(value) and value:
        yield Line(name, place, None)
        names = step_names([item["use"] for item in value])
        for index, item in enumerate(value):
            below_it = f"{path}[{names[index]}]"
            yield from _mapping(item, (*place, index), below_it, indent + "    ", indent + "  - ")
    elif isinstance(value, list) and len(f"{name} {_flow(value)}") > WIDTH:
        yield Line(name, place, path)
        for index, item in enumerate(value):
            yield Line(f"{indent}  - {_flow(item)}", (*place, index), None)
    else:
        yield Line(f"{name} {_flow(value)}", place, path)


def _is_steps(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(i, dict) and "use" in i for i in value)


def _flow(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(_flow(item) for item in value)}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_scalar(k)}: {_flow(v)}" for k, v in value.items()) + "}"
    return _scalar(value)


_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_./+-]*( [A-Za-z0-9_./+-]+)*")
_WORDS = {"true", "false", "null", "yes", "no", "on", "off", "y", "n"}


def _scalar(value: Any) -> str:
    """Return a scalar; text that could be read as anything else stands in quotes, as in JSON."""
    if isinstance(value, str) and _PLAIN.fullmatch(value) and value.lower() not in _WORDS:
        return value
    if isinstance(value, float):
        return _float(value)
    text = json.dumps(value, ensure_ascii=False)
    return "".join(c if c.isprintable() else f"\\U{ord(c):08x}" for c in text)


def _float(value: float) -> str:
    """Return a float as YAML 1.2 reads it: with a point before the exponent."""
    text = repr(value)
    head, e, tail = text.partition("e")
    return f"{head}.0e{tail}" if e and "." not in head else text
