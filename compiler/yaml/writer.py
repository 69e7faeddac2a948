"""Write values as YAML that every version of YAML reads back as the same values.

Text is quoted where YAML 1.1 or 1.2 could read it as something else.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ..language.paths import PathPart, below, step_names

WIDTH = 100
"""A list that is longer stands in a block."""
WORDS = frozenset({"null", "true", "false", "yes", "no", "on", "off", "y", "n", "..."})
"""Text that YAML 1.1 or 1.2 reads as null, a boolean or an end of document, in any case."""
NUMBER = re.compile(
    r"[-+.]?[0-9][0-9a-zA-Z_.:+-]*([ tT][0-9:.zZ +-]*)?|\.[0-9_]+|[-+]?\.(inf|nan)", re.I
)
"""Numbers, dates and times of YAML 1.1 and 1.2, and some more that look like them."""
PLAIN = re.compile(r"[\w/.](?:[\w ./@%+-]|:(?=[\w/]))*")
"""Text that means the same with and without quotes, anywhere."""
ESCAPES = {"\n": "\\n", "\t": "\\t", "\r": "\\r", "\0": "\\0", '"': '\\"', "\\": "\\\\"}

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


def find(document: Any, segments: Sequence[PathPart]) -> tuple[Place | None, list[str]]:
    """Return the place of a path, or None and the names known where it ends."""
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
    name = f"{first}{scalar(key)}:"
    if isinstance(value, dict) and value:
        yield Line(name, place, None)
        yield from _mapping(value, place, path, indent + "  ", "")
    elif _is_steps(value) and value:
        yield Line(name, place, None)
        names = step_names([item["use"] for item in value])
        for index, item in enumerate(value):
            below_it = f"{path}[{names[index]}]"
            yield from _mapping(item, (*place, index), below_it, indent + "    ", indent + "  - ")
    elif isinstance(value, list) and len(f"{name} {flow(value)}") > WIDTH:
        yield Line(name, place, path)
        for index, item in enumerate(value):
            yield Line(f"{indent}  - {flow(item)}", (*place, index), None)
    else:
        yield Line(f"{name} {flow(value)}", place, path)


def _is_steps(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(i, dict) and "use" in i for i in value)


def flow(value: Any) -> str:
    """Return a JSON value on one line; a step names its plugin first."""
    if isinstance(value, dict):
        items = sorted(value.items(), key=lambda item: item[0] != "use")
        return "{" + ", ".join(f"{scalar(key)}: {flow(item)}" for key, item in items) + "}"
    if isinstance(value, list):
        return f"[{', '.join(map(flow, value))}]"
    return scalar(value)


def scalar(value: Any) -> str:
    """Return null, a truth value, a number or a text, quoted only where it must be."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return _float(value)
    text = str(value)
    return text if isinstance(value, int) or is_plain(text) else quoted(text)


def is_plain(text: str) -> bool:
    """Return whether text needs no quotes."""
    if not PLAIN.fullmatch(text) or text.endswith(" "):
        return False
    return text.lower() not in WORDS and not NUMBER.fullmatch(text)


def quoted(text: str) -> str:
    """Return text in quotes: double ones, or single ones where that saves escapes."""
    if text.isprintable() and ("\\" in text or '"' in text):
        return "'" + text.replace("'", "''") + "'"
    return '"' + "".join(map(_escaped, text)) + '"'


def _float(value: float) -> str:
    """Return a float with a point, and with a signed exponent where it is very small or large."""
    if not math.isfinite(value):
        return ".nan" if math.isnan(value) else ".inf" if value > 0 else "-.inf"
    if value and not 0.001 <= abs(value) < 1e16:
        texts = (f"{value:.{digits}e}" for digits in range(1, 18))
        mantissa, _, exponent = next(text for text in texts if float(text) == value).partition("e")
        return f"{mantissa}e{int(exponent):+d}"
    return repr(value)


def _escaped(character: str) -> str:
    if character in ESCAPES:
        return ESCAPES[character]
    if character.isprintable():
        return character
    code = ord(character)
    return (
        f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}" if code < 65536 else f"\\U{code:08x}"
    )
