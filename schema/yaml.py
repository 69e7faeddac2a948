"""Reads YAML once, by YAML 1.2, and keeps the place of every key and value.

ruamel.yaml scans and composes; nodes are turned into plain values here, so that nothing a file
says can build anything but mappings, lists, strings, numbers, booleans and null.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from .errors import Diagnostic, RecipeError

MAX_BYTES = 1 << 20
MAX_DEPTH = 50

Path = tuple[str | int, ...]


@dataclass(frozen=True)
class Mark:
    """A place in a file, counted from 1, and how many characters it spans on its line."""

    line: int
    column: int
    length: int


@dataclass
class Parsed:
    """A file's values and places.

    `keys` has the place of each mapping key (and list item), `values` of each value, by path.
    """

    file: str
    data: Any
    lines: list[str]
    keys: dict[Path, Mark] = field(default_factory=dict)
    values: dict[Path, Mark] = field(default_factory=dict)

    def diagnose(
        self,
        path: Path,
        code: str,
        message: str,
        suggestion: str | None = None,
        *,
        key: bool = False,
    ) -> Diagnostic:
        """Return a diagnostic at a path; a path that is not there takes the nearest above it."""
        places = self.keys if key else self.values
        mark = places.get(path)
        while mark is None and path:
            path = path[:-1]
            mark = self.keys.get(path) or self.values.get(path)
        return _diagnostic(self.file, self.lines, mark or Mark(1, 1, 1), code, message, suggestion)


def parse(raw: bytes, file: str) -> Parsed:
    """Parse a file's bytes.

    Raises:
        RecipeError: it is not UTF-8, not YAML 1.2, too large or too deep, has an anchor, an alias,
            a tag or a key twice, or holds nothing.
    """
    lines, text = _text(raw, file)
    parsed = Parsed(file, None, lines)
    node = _compose(text, file, lines)
    if node is None:
        raise _error(
            file, lines, Mark(1, 1, 1), "empty", "the file is empty", "start with `recipe: 1`"
        )
    faults: list[Diagnostic] = []
    parsed.data = _value(node, (), parsed, faults)
    if faults:
        raise RecipeError(faults)
    return parsed


def _text(raw: bytes, file: str) -> tuple[list[str], str]:
    first = Mark(1, 1, 1)
    if len(raw) > MAX_BYTES:
        message = f"the file has {len(raw):,} bytes; a recipe has at most {MAX_BYTES:,}"
        raise _error(file, [], first, "too-large", message, "keep data in files of its own")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = raw[: error.start]
        line = before.count(b"\n") + 1
        column = len(before) - (before.rfind(b"\n") + 1) + 1
        message = f"not UTF-8: byte 0x{raw[error.start]:02x} at position {error.start}"
        raise _error(
            file, [], Mark(line, column, 1), "encoding", message, "save it as UTF-8"
        ) from None
    return text.splitlines() or [""], text


def _compose(text: str, file: str, lines: list[str]) -> Any:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    try:
        return YAML(typ="safe", pure=True).compose(text)
    except MarkedYAMLError as error:
        where = error.problem_mark or error.context_mark
        mark = Mark(where.line + 1, where.column + 1, 1) if where else Mark(1, 1, 1)
        raise _error(file, lines, mark, "yaml", *_syntax(error, lines, mark)) from None
    except RecursionError:
        message = f"nested too deep; a recipe has at most {MAX_DEPTH} levels"
        raise _error(file, lines, Mark(1, 1, 1), "too-deep", message) from None
    except (YAMLError, ValueError) as error:
        reason = str(error).strip().split("\n")[0]
        raise _error(file, lines, Mark(1, 1, 1), "yaml", f"not YAML: {reason}") from None


def _syntax(error: Any, lines: list[str], mark: Mark) -> tuple[str, str | None]:
    line = lines[mark.line - 1] if mark.line <= len(lines) else ""
    if "\t" in line[: max(mark.column, 1)] or line.startswith("\t"):
        return "a tab cannot indent YAML", "use spaces"
    problem = " ".join((error.problem or "cannot be read").split())
    context = f" {error.context}" if error.context else ""
    return f"not YAML: {problem}{context}", None


def _error(
    file: str, lines: list[str], mark: Mark, code: str, message: str, suggestion: str | None = None
) -> RecipeError:
    return RecipeError([_diagnostic(file, lines, mark, code, message, suggestion)])


def _diagnostic(
    file: str, lines: list[str], mark: Mark, code: str, message: str, suggestion: str | None
) -> Diagnostic:
    source = lines[mark.line - 1] if 0 < mark.line <= len(lines) else None
    return Diagnostic(file, mark.line, mark.column, code, message, suggestion, source, mark.length)


def _mark(node: Any) -> Mark:
    start, end = node.start_mark, node.end_mark
    length = end.column - start.column if start.line == end.line else 1
    return Mark(start.line + 1, start.column + 1, max(1, length))


def _value(node: Any, path: Path, parsed: Parsed, faults: list[Diagnostic]) -> Any:
    """Turn a node into plain values, noting places, and collecting what a recipe may not have."""
    mark = parsed.values[path] = _mark(node)

    def fault(code: str, message: str, suggestion: str | None = None) -> None:
        faults.append(_diagnostic(parsed.file, parsed.lines, mark, code, message, suggestion))

    if len(path) > MAX_DEPTH:
        fault("too-deep", f"nested too deep; a recipe has at most {MAX_DEPTH} levels")
        return None
    if node.anchor:
        fault(
            "anchor",
            "anchors and aliases are not part of the recipe language",
            "write the value out, or share it by `extends:`",
        )
        return None
    if node.id == "mapping":
        return _mapping(node, path, parsed, faults)
    if node.id == "sequence":
        items = []
        for index, item in enumerate(node.value):
            parsed.keys[(*path, index)] = _mark(item)
            items.append(_value(item, (*path, index), parsed, faults))
        return items
    return _scalar(node, fault)


def _mapping(node: Any, path: Path, parsed: Parsed, faults: list[Diagnostic]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in node.value:
        mark = _mark(key)
        if key.id != "scalar" or key.tag.endswith((":merge", ":null")):
            message = "a key must be a plain word"
            suggestion = "share values by `extends:`" if key.tag.endswith(":merge") else None
            faults.append(_diagnostic(parsed.file, parsed.lines, mark, "key", message, suggestion))
            continue
        name = str(key.value)
        if name in found:
            first = parsed.keys[(*path, name)].line
            message = f"`{name}` is given twice; the first is on line {first}"
            faults.append(
                _diagnostic(parsed.file, parsed.lines, mark, "duplicate-key", message, None)
            )
            continue
        parsed.keys[(*path, name)] = mark
        found[name] = _value(value, (*path, name), parsed, faults)
    return found


def _scalar(node: Any, fault: Any) -> Any:
    """Return a scalar's value by YAML 1.2's core schema: `no` and dates are strings."""
    tag = node.tag.rsplit(":", 1)[-1] if node.tag else "str"
    text = node.value
    if node.style in ("'", '"', "|", ">") or tag in ("str", "timestamp"):
        return str(text)
    if tag == "null":
        return None
    if tag == "bool":
        return text.lower() == "true"
    try:
        if tag == "int":
            return int(text, 0) if text[:2] in ("0x", "0o") else int(text)
        if tag == "float":
            number = float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
            if math.isfinite(number):
                return number
            fault("number", f"{text} is not a number that a recipe can hold")
            return None
    except ValueError:
        return str(text)
    fault("tag", f"the tag {node.tag} is not part of the recipe language", "remove it")
    return None
