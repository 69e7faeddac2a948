"""Read YAML 1.2 once, with the position of every key and value.

ruamel.yaml scans and parses; its events are turned into plain values here, so that nothing a file
says can build anything but mappings, lists, strings, numbers, booleans and null, and so that what
a recipe may not have (depth, size, anchors) ends the reading at once.
"""

from __future__ import annotations

import math
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from .decoding import MAX_BYTES, Mark, Text, decode, diagnose
from .errors import Diagnostic, RecipeError

__all__ = ["MAX_BYTES", "MAX_DEPTH", "MAX_VALUES", "Mark", "Parsed", "Path", "parse"]

MAX_DEPTH = 50
MAX_VALUES = 10_000
MAX_KEY = 200
MAX_INTEGER = 2**53 - 1
SECTIONS = 64
"""Top-level sections that are read one by one where a file as a whole is not YAML."""

Path = tuple[str | int, ...]

INTEGER = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
CONSTANTS = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}


class Located(ABC):
    """Values with places in files."""

    @abstractmethod
    def locate(self, path: Path, *, key: bool = False) -> tuple[Parsed, Mark]:
        """Return the file and the place of a value, or of its key; else the nearest above it."""

    def diagnose(
        self,
        path: Path,
        code: str,
        message: str,
        suggestion: str | None = None,
        *,
        key: bool = False,
    ) -> Diagnostic:
        """Return a diagnostic at a path, of a value or of its key."""
        parsed, mark = self.locate(path, key=key)
        return diagnose(parsed.file, parsed.lines, mark, code, message, suggestion)


@dataclass
class Parsed(Located):
    """A file's values and places.

    `keys` has the place of each mapping key (and list item), `values` of each value, by path.
    `faults` are those that left the rest readable; `incomplete` means that parts were not.
    """

    file: str
    data: Any
    lines: list[str]
    keys: dict[Path, Mark] = field(default_factory=dict)
    values: dict[Path, Mark] = field(default_factory=dict)
    faults: list[Diagnostic] = field(default_factory=list)
    incomplete: bool = False

    def locate(self, path: Path, *, key: bool = False) -> tuple[Parsed, Mark]:
        """Return the place of a value, or of its key; else the nearest above it."""
        mark = (self.keys if key else self.values).get(path)
        while mark is None and path:
            path = path[:-1]
            mark = self.keys.get(path) or self.values.get(path)
        return self, mark or Mark(1, 1, 1)


def parse(raw: bytes, file: str) -> Parsed:
    """Parse a file's bytes.

    Raises:
        RecipeError: it is not UTF-8, not YAML 1.2, too large or too deep, has an anchor, an alias,
            a tag or a key twice, or holds nothing.
    """
    parsed = parse_leniently(raw, file)
    if parsed.faults:
        raise RecipeError(parsed.faults)
    return parsed


def parse_leniently(raw: bytes, file: str) -> Parsed:
    """Parse a file's bytes and keep the faults beside what could be read.

    A file that as a whole is not YAML is read section by section: a quote that is not closed in
    one top-level key does not hide errors in another.

    Raises:
        RecipeError: nothing of it could be read.
    """
    text = decode(raw, file)
    parsed = Parsed(file, None, text.lines)
    try:
        parsed.data = _EventReader(parsed, text, 0, len(text.text)).document()
    except _SyntaxError as fault:
        parsed = _section_by_section(text, fault)
    if parsed.data is None and not parsed.faults:
        raise RecipeError(
            [parsed.diagnose((), "empty", "the file is empty", "start with `recipe: 1`")]
        )
    return parsed


def _section_by_section(text: Text, whole: _SyntaxError) -> Parsed:
    """Return the sections that are YAML, with the errors of those that are not."""
    starts = [found.start() for found in re.finditer(r"(?m)^(?=[^\s#\-\]}%.])", text.text)]
    parsed = Parsed(text.file, {}, text.lines, incomplete=True)
    bad = []
    if whole.alone or not 1 < len(starts) <= SECTIONS:
        raise RecipeError([whole.diagnostic])
    for start, end in zip(starts, [*starts[1:], len(text.text)], strict=True):
        try:
            reader = _EventReader(parsed, text, start, end)
            reader.document(parsed.data)
        except _SyntaxError as fault:
            bad.append(fault.diagnostic)
    if not bad:
        raise RecipeError([whole.diagnostic])
    parsed.faults += bad
    return parsed


class _SyntaxError(Exception):
    """The text is not YAML from here on; `alone`: reading its parts would not help."""

    def __init__(self, diagnostic: Diagnostic, *, alone: bool = False) -> None:
        super().__init__(diagnostic.message)
        self.diagnostic = diagnostic
        self.alone = alone


class _EventReader:
    """Turns the events of a piece of a file into values, noting places and faults."""

    def __init__(self, parsed: Parsed, text: Text, start: int, end: int) -> None:
        self.parsed = parsed
        self.text = text
        self.offset = start
        self.piece = text.text[start:end]
        self.count = 0
        self.events = self._events()

    def document(self, root: dict[str, Any] | None = None) -> Any:
        """Return the value of the piece's one document; a mapping's keys go into `root`."""
        event = next(self.events)
        while type(event).__name__ in ("StreamStartEvent", "DocumentStartEvent"):
            event = next(self.events)
        if type(event).__name__ == "StreamEndEvent":
            return None
        if root is not None and type(event).__name__ != "MappingStartEvent":
            raise self._syntax(event, "a section starts with `name:`")
        value = self._value(event, (), root)
        next(self.events)
        after = next(self.events)
        if type(after).__name__ != "StreamEndEvent":
            fault = self._syntax(after, "a recipe is one document; a second one starts here")
            fault.alone = True
            raise fault
        return value

    def _events(self) -> Iterator[Any]:
        from ruamel.yaml import YAML
        from ruamel.yaml.error import MarkedYAMLError, YAMLError, YAMLWarning

        try:
            yield from YAML(typ="safe", pure=True).parse(self.piece)
        except MarkedYAMLError as error:
            from .yaml_errors import explain

            start, message, suggestion = explain(error, self.piece)
            raise self._fault_at(start, start + 1, message, suggestion) from None
        except (YAMLError, YAMLWarning, ValueError, RecursionError, AttributeError) as error:
            reason = str(error).strip().split("\n")[0]
            raise self._fault_at(0, 1, f"not YAML: {reason}") from None

    def _fault_at(
        self, start: int, end: int, message: str, suggestion: str | None = None
    ) -> _SyntaxError:
        text = self.text
        mark = text.mark(self.offset + start, self.offset + end)
        return _SyntaxError(text.diagnose(mark, "yaml", message, suggestion))

    def _syntax(self, event: Any, message: str) -> _SyntaxError:
        return self._fault_at(event.start_mark.index, event.end_mark.index, f"not YAML: {message}")

    def _mark(self, event: Any) -> Mark:
        start, end = event.start_mark.index, event.end_mark.index
        return self.text.mark(self.offset + start, self.offset + end)

    def _fault(self, mark: Mark, code: str, message: str, suggestion: str | None = None) -> None:
        self.parsed.faults.append(self.text.diagnose(mark, code, message, suggestion))

    def _value(self, event: Any, path: Path, root: dict[str, Any] | None = None) -> Any:
        mark = self.parsed.values[path] = self._mark(event)
        kind = type(event).__name__
        self._bounds(event, mark, path)
        if kind == "AliasEvent" or event.anchor:
            self._fault(
                mark,
                "anchor",
                "anchors and aliases are not part of the recipe language",
                "write the value out, or share it by `extends:`",
            )
        if getattr(event, "tag", None):
            tag = self.piece[event.start_mark.index : event.end_mark.index].split()[:1]
            message = f"the tag {tag[0][:40] if tag else '!'} is not part of the recipe language"
            self._fault(mark, "tag", message, "remove it")
        if kind == "MappingStartEvent":
            return self._mapping(path, {} if root is None else root)
        if kind == "SequenceStartEvent":
            return self._sequence(path)
        return None if kind == "AliasEvent" else self._scalar(event, mark)

    def _bounds(self, event: Any, mark: Mark, path: Path) -> None:
        self.count += 1
        message = None
        if len(path) > MAX_DEPTH:
            code, message = "too-deep", f"nested too deep; a recipe has at most {MAX_DEPTH} levels"
        elif self.count > MAX_VALUES:
            code, message = "too-large", f"a recipe has at most {MAX_VALUES:,} values"
        if message:
            diagnostic = self.text.diagnose(mark, code, message)
            raise _SyntaxError(diagnostic, alone=True)

    def _sequence(self, path: Path) -> list[Any]:
        items: list[Any] = []
        while type(event := next(self.events)).__name__ != "SequenceEndEvent":
            place = (*path, len(items))
            self.parsed.keys[place] = self._mark(event)
            items.append(self._value(event, place))
        return items

    def _mapping(self, path: Path, found: dict[str, Any]) -> dict[str, Any]:
        while type(key := next(self.events)).__name__ != "MappingEndEvent":
            mark = self._mark(key)
            name = self._key(key, mark, path)
            if name in found:
                first = self.parsed.keys[(*path, name)].line
                message = f"`{name}` is given twice; the first is on line {first}"
                self._fault(mark, "duplicate-key", message, "keep one of them")
                self._aside(next(self.events), path)
            elif name is None:
                self._aside(next(self.events), path)
            else:
                self.parsed.keys[(*path, name)] = mark
                found[name] = self._value(next(self.events), (*path, name))
        return found

    def _key(self, event: Any, mark: Mark, path: Path) -> str | None:
        """Return a key's name; of one that cannot be, note the fault."""
        if type(event).__name__ != "ScalarEvent" or event.anchor or event.tag:
            if type(event).__name__ != "ScalarEvent":
                self._aside(event, path)
            self._fault(mark, "key", "a key must be a plain word")
            return None
        name = str(event.value)
        plain = event.implicit[0]
        if plain and name == "<<":
            self._fault(mark, "key", "a key must be a plain word", "share values by `extends:`")
        elif (plain and CONSTANTS.get(name, name) is None) or not name.isprintable():
            self._fault(mark, "key", "a key must be a plain word")
        elif not 0 < len(name) <= MAX_KEY:
            self._fault(mark, "key", f"a key has between 1 and {MAX_KEY} characters")
        else:
            return name
        return None

    def _aside(self, event: Any, path: Path) -> None:
        """Read a value that has no place in the recipe, for its faults and to get past it."""
        kept = self.parsed
        self.parsed = aside = Parsed(kept.file, None, kept.lines)
        self._value(event, (*path, ""))
        self.parsed = kept
        kept.faults += aside.faults

    def _scalar(self, event: Any, mark: Mark) -> Any:
        """Return a scalar's value by YAML 1.2's core schema: `no` and dates are strings."""
        text = str(event.value)
        if not event.implicit[0]:
            if "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
                self._fault(mark, "text", "a text has no NUL and no half of a surrogate pair")
                return None
            return text
        if text in CONSTANTS:
            return CONSTANTS[text]
        if INTEGER.fullmatch(text) and len(text) < 400:
            number = int(text, 0 if text[:2] in ("0x", "0o") else 10)
            if abs(number) > MAX_INTEGER:
                self._fault(mark, "number", f"{text[:40]} is beyond the integers a recipe can hold")
                return None
            return number
        if NOT_FINITE.fullmatch(text) or INTEGER.fullmatch(text):
            self._fault(mark, "number", f"{text[:40]} is not a number that a recipe can hold")
            return None
        if FLOAT.fullmatch(text):
            value = float(text)
            if math.isfinite(value):
                return value
            self._fault(mark, "number", f"{text[:40]} is not a number that a recipe can hold")
            return None
        return text
