"""What can be written at a place of a recipe: its keys, or the plugins that `use:` may name.

The place is found from the text alone, by indentation and braces, since a text that is being
written is seldom a whole recipe; what fits there is read from the language's JSON Schema.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

KEY = re.compile(r"[\w.-]+")
ENTRY = re.compile(r"^([ ]*)((?:- +)*)(?:([\w.-]+)[ \t]*:(?: |$))?")
USE = re.compile(r"\buse[ \t]*:[ \t]*([\w.-]+)")
LAST = re.compile(r"(?:^|[{,\s])([\w.-]+)[ \t]*:[ \t]*\[?[ \t]*$")
MOST = 60


@dataclass(frozen=True)
class Fitting:
    """One thing that fits: what to write, what it takes or does, and how to write it."""

    word: str
    says: str
    insert: str


@dataclass(frozen=True)
class Fits:
    """What fits at a place: the place in words, and the things."""

    where: str
    words: tuple[Fitting, ...]


@dataclass
class _Place:
    """Where in a recipe: the keys from the top, and in a step the plugin; what is there already."""

    path: list[str] = field(default_factory=list)
    there: set[str] = field(default_factory=set)
    use: str | None = None
    naming: bool = False


def completions(schema: Mapping[str, Any], text: str, at: int) -> Fits | None:
    """Return what can be written at a place of a text; None where the language says nothing.

    Args:
        schema: the JSON Schema of the language.
        text: the text.
        at: the place, in characters from the start.
    """
    place = _place(text, max(0, min(at, len(text))))
    definitions = schema["$defs"]
    body: Any = definitions["recipe"]
    for key in place.path:
        body = _below(_resolved(body, definitions, None), key, definitions)
        if body is None:
            return None
    kind = _kind(body)
    where = ".".join(place.path) or "the top of the recipe"
    if place.naming:
        return Fits(f"plugins of {where}", tuple(_plugins(definitions, kind))) if kind else None
    body = _resolved(body, definitions, place.use)
    properties = body.get("properties") if isinstance(body, dict) else None
    if not properties:
        return None
    return Fits(where, tuple(_keys(properties, place.there))[:MOST])


def _keys(properties: Mapping[str, Any], there: set[str]) -> Iterator[Fitting]:
    for name, body in properties.items():
        if name not in there:
            yield Fitting(name, body.get("description", ""), f"{name}: ")


def _plugins(definitions: Mapping[str, Any], kind: str) -> Iterator[Fitting]:
    for name in definitions[kind]["properties"]["use"]["enum"]:
        says = definitions.get(f"{kind}.{name}", {}).get("description", "")
        yield Fitting(name, says, name)


# ---- the schema -------------------------------------------------------------------------------


def _references(body: Any) -> Iterator[str]:
    """Yield the definitions that a value may be of, through lists and alternatives."""
    if isinstance(body, dict):
        if "$ref" in body:
            yield body["$ref"].rpartition("/")[2]
        for key in ("anyOf", "items"):
            for one in body[key] if isinstance(body.get(key), list) else [body.get(key)]:
                yield from _references(one)


def _kind(body: Any) -> str | None:
    return next(_references(body), None)


def _resolved(body: Any, definitions: Mapping[str, Any], use: str | None) -> Any:
    """Return the definition of a value: of a step, that of the plugin that it names."""
    name = _kind(body)
    if name is None:
        return body
    return definitions.get(f"{name}.{use}") if use else definitions.get(name)


def _below(body: Any, key: str, definitions: Mapping[str, Any]) -> Any:
    if not isinstance(body, dict):
        return None
    found = body.get("properties", {}).get(key)
    if found is None and isinstance(body.get("additionalProperties"), dict):
        found = body["additionalProperties"]
    if found is None:  # a key that only one plugin has, such as a template of a runtime
        branches = [one["then"]["$ref"].rpartition("/")[2] for one in body.get("allOf", ())]
        found = next(
            (
                definitions[name]["properties"][key]
                for name in branches
                if key in definitions[name].get("properties", {})
            ),
            None,
        )
    return found


# ---- the text ---------------------------------------------------------------------------------


def _place(text: str, at: int) -> _Place:
    lines = text.split("\n")
    number = text.count("\n", 0, at)
    before = lines[number][: at - (text.rfind("\n", 0, at) + 1)]
    place = _Place()
    indent = _indent(before) if before.strip() else len(before)
    open_at = _open_brace(before)
    if open_at is not None:
        _in_braces(place, lines[number], before, open_at)
        above = ENTRY.match(before)
        key = LAST.search(before[:open_at])
        if key is not None:
            place.path.insert(0, key[1])
        if above and above[3] and (key is None or above[3] != key[1]):
            place.path.insert(0, above[3])
    else:
        place.naming = bool(re.search(r"\buse[ \t]*:[ \t]*[\w.-]*$", before))
        _siblings(place, lines, number, indent)
    _above(place, lines, number, _dash(before) if open_at is None else _indent(before))
    return place


def _in_braces(place: _Place, line: str, before: str, open_at: int) -> None:
    """Take what stands in the braces around the place."""
    closing = line.find("}", len(before))
    inside = line[open_at + 1 : closing if closing >= 0 else len(line)]
    place.naming = bool(re.search(r"\buse[ \t]*:[ \t]*[\w.-]*$", before[open_at:]))
    place.there = set(re.findall(r"(?:^|,)[ \t]*([\w.-]+)[ \t]*:", inside))
    named = USE.search(inside)
    place.use = named[1] if named and not place.naming else None


def _open_brace(before: str) -> int | None:
    """Return where the innermost brace that is still open stands."""
    opened: list[int] = []
    for index, character in enumerate(before):
        if character == "{":
            opened.append(index)
        elif character == "}" and opened:
            opened.pop()
    return opened[-1] if opened else None


def _siblings(place: _Place, lines: list[str], number: int, indent: int) -> None:
    """Take the keys that stand beside the place, and the plugin that they name."""
    for step in (-1, 1):
        for line in lines[number + step :: step] if number + step >= 0 else ():
            if not line.strip() or line.lstrip().startswith("#"):
                continue
            found = ENTRY.match(line)
            if _indent(line) < indent or found is None:
                break
            if _indent(line) == indent and found[3]:
                place.there.add(found[3])
                if found[3] == "use" and (named := USE.search(line)):
                    place.use = place.use or named[1]
            if found[2] and _indent(line) == indent and step < 0:
                break  # the first key of an entry of a list


def _above(place: _Place, lines: list[str], number: int, indent: int) -> None:
    """Take the keys that the place stands below, the nearest first."""
    for line in reversed(lines[:number]):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        found = ENTRY.match(line)
        if found is None or not found[3] or len(found[1]) >= indent:
            continue
        if _indent(line) < indent:
            place.path.insert(0, found[3])
        # A list may stand as far out as its key: what it is below is no further in than its dash.
        indent = len(found[1]) + (1 if found[2] else 0)
        if indent == 0:
            return


def _dash(line: str) -> int:
    """Return the column of a line's first character, of its dash where it has one."""
    return len(line) - len(line.lstrip(" ")) + (1 if line.lstrip().startswith("-") else 0)


def _indent(line: str) -> int:
    """Return the column of a line's first key, behind the dashes of a list."""
    found = ENTRY.match(line)
    return len(found[1]) + len(found[2]) if found else 0
