"""The work on one configuration: reads typed values, puts ours, and notes what became of each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...plugins.registry import UNDECIDED
from ...schema.did_you_mean import did_you_mean
from ...schema.yaml_reader import Parsed, Path
from ..foreign_terms import Terms, terms_of
from ..language.paths import below
from .recipe_draft import Draft, Place
from .report import Default, Inert, Mapped, NotMapped, Report, key_text

Key = str | Path
Ours = Mapping[Any, Any]
"""Values by our path, written with dots or as a tuple of its parts."""

OFF: tuple[Any, ...] = (None, False, "", 0, [], {})
"""Values by which a feature is left alone."""
NESTED = {"axolotl": {"datasets": "D"}}
"""Sections with terms of their own, by tool; all else below a key goes by that key."""
TRUTH = {"yes": True, "on": True, "no": False, "off": False}
KINDS = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}


class Translation:
    """A configuration on its way to a recipe."""

    def __init__(self, parsed: Parsed, tool: str, terms: Terms) -> None:
        self.parsed = parsed
        self.tool = tool
        self.terms = terms
        self.data_sets: Mapping[str, Any] = {}
        self.draft = Draft()
        self.report = Report(tool, parsed.file)
        self.done: set[Path] = set()
        self.folder: str | None = None
        self.skeleton = False

    # ---- reading ----------------------------------------------------------------------------

    def value(self, key: Key) -> Any:
        """Return the file's value at a key; null and an empty text are as if left out."""
        data: Any = self.parsed.data
        for part in _path(key):
            if isinstance(data, dict):
                data = data.get(part)
            elif isinstance(data, list) and isinstance(part, int) and part < len(data):
                data = data[part]
            else:
                return None
        return None if data == "" else data

    def flag(self, key: Key) -> bool | None:
        """Return a truth value (`yes` and `on` are some by YAML 1.1), or None."""
        value = self.value(key)
        if isinstance(value, str):
            value = TRUTH.get(value.lower(), value)
        return self._typed(key, bool, value)  # type: ignore[no-any-return]

    def text(self, key: Key) -> str | None:
        """Return a text, or None where it is left out or is none."""
        return self._typed(key, str, self.value(key))  # type: ignore[no-any-return]

    def integer(self, key: Key) -> int | None:
        """Return a whole number (`3.0` is one), or None where it is left out or is none."""
        value = _number(self.value(key))
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        return self._typed(key, int, value)  # type: ignore[no-any-return]

    def number(self, key: Key) -> float | None:
        """Return a number (one in quotes too), or None where it is left out or is none."""
        value = _number(self.value(key))
        value = float(value) if type(value) is int else value
        return self._typed(key, float, value)  # type: ignore[no-any-return]

    def texts(self, key: Key) -> list[str] | None:
        """Return a list of texts; one text is a list with commas."""
        value = self.value(key)
        if isinstance(value, str):
            return [part.strip() for part in value.split(",") if part.strip()]
        if isinstance(value, list) and all(isinstance(item, str) for item in value):
            return value or None
        if value is not None:
            self._wrong(key, "a list of texts")
        return None

    def _typed(self, key: Key, kind: type, value: Any) -> Any:
        if value is None or type(value) is kind:
            return value
        self._wrong(key, KINDS[kind])
        return None

    def _wrong(self, key: Key, wanted: str) -> None:
        self.lost(key, f"{self.tool} takes {wanted} here", "correct the value", unknown=True)

    # ---- writing ----------------------------------------------------------------------------

    def put(
        self, key: Key, ours: Ours, note: str | None = None, comment: str | None = None
    ) -> None:
        """Put a key's values into the recipe; the comment goes beside the first."""
        for place, value in ours.items():
            self.draft.set(_place(place), value, comment)
            comment = None
        self.same(key, {our_path(place): value for place, value in ours.items()}, note)

    def same(self, key: Key, ours: dict[str, Any], note: str | None = None) -> None:
        """Note a key as mapped that the recipe does without a word of its own, or does already."""
        path = _path(key)
        for leaf in self.leaves(path):
            value = self.value(leaf)
            self.report.mapped.append(Mapped(leaf, self.parsed.keys[leaf], value, ours, note))
            self.done.add(leaf)

    def inert(self, key: Key, why: str) -> None:
        """Note a key, and those below it, as doing nothing here."""
        for leaf in self.leaves(_path(key)):
            mark = self.parsed.keys[leaf]
            self.report.inert.append(Inert(leaf, mark, self.value(leaf), why))
            self.done.add(leaf)

    def lost(self, key: Key, would: str, todo: str, *, unknown: bool = False) -> None:
        """Note a key, and those below it, as not mapped; `would` is why, of an `unknown` one."""
        for leaf in self.leaves(_path(key)):
            mark = self.parsed.keys[leaf]
            self.report.not_mapped.append(
                NotMapped(leaf, mark, self.value(leaf), would, todo, unknown)
            )
            self.done.add(leaf)

    def undecided(self, place: str | Place, comment: str) -> None:
        """Leave a plugin of the recipe to be decided: its value is one that validation refuses."""
        self.draft.set(_place(place), {"use": UNDECIDED}, f"to be decided: {comment}")

    def default(self, key: str, value: Any, ours: Ours, note: str | None = None) -> None:
        """Write out the tool's default of an omitted key, unless the recipe has a value."""
        new = {place: item for place, item in ours.items() if not self.draft.has(_place(place))}
        said = f"{self.tool}'s default" + (f": {note}" if note else "")
        for index, (place, item) in enumerate(new.items()):
            self.draft.set(_place(place), item, None if index else said)
        if new:
            paths = {our_path(place): item for place, item in new.items()}
            self.report.defaults.append(Default(key, value, paths, said))

    def no_default(self, key: str, value: Any, note: str) -> None:
        """Note the tool's default of an omitted key that a recipe cannot express."""
        self.report.defaults.append(Default(key, value, {}, note))

    # ---- the end ----------------------------------------------------------------------------

    def leaves(self, path: Path = ()) -> list[Path]:
        """Return the keys at and below a path that are not done and hold no further keys."""
        found = [] if path not in self.parsed.keys and path else _leaves(self._at(path), path)
        return [leaf for leaf in found if leaf not in self.done]

    def _at(self, path: Path) -> Any:
        data = self.parsed.data
        for part in path:
            data = data[part]
        return data

    def finish(self) -> None:
        """Report every key that was not translated, by the tables of terms."""
        for leaf in self.leaves():
            self._by_table(leaf)
        self.report.sort()

    def _by_table(self, leaf: Path) -> None:
        """Report a key by the term of the topmost key above it that is one."""
        names = [part for part in leaf if isinstance(part, str)]
        section = NESTED.get(self.tool, {}).get(names[0]) if len(names) > 1 else None
        terms, name = (terms_of(section), names[1]) if section else (self.terms, names[0])
        value, term = self.value(leaf), terms.get(name)
        if value is None:
            self.inert(leaf, "left empty")
        elif term is None:
            todo = did_you_mean(name, terms.names()).strip() or "look it up, or remove it"
            self.lost(
                leaf, f"not a parameter of {self.tool} that is known here", todo, unknown=True
            )
        elif term.verdict == "inert":
            self.inert(leaf, term.text)
        elif value in OFF:
            self.inert(leaf, "switched off")
        elif term.verdict == "lost":
            self.lost(leaf, term.text, term.note)
        else:
            self.lost(leaf, f"set `{term.text}`", f"write `{term.text}` yourself if it applies")


def our_path(place: str | Place) -> str:
    """Return a path of the recipe as `--set` takes it."""
    text = ""
    for part in _place(place):
        text = below(text, part)
    return text


def _path(key: Key) -> Path:
    return (key,) if isinstance(key, str) else key


def _place(place: str | Place) -> Place:
    return tuple(place.split(".")) if isinstance(place, str) else place


def _number(value: Any) -> Any:
    """Return a number that is written as a text (`2e-4` is one by YAML 1.1) as a number."""
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return value
    return value


def _leaves(value: Any, path: Path) -> list[Path]:
    """Return the keys that hold no further keys; lists that hold some are gone into."""
    if not _holds_keys(value):
        return [path]
    items = value.items() if isinstance(value, dict) else enumerate(value)
    return [leaf for key, item in items for leaf in _leaves(item, (*path, key))]


def _holds_keys(value: Any) -> bool:
    if isinstance(value, list):
        return any(_holds_keys(item) for item in value)
    return isinstance(value, dict) and bool(value)


__all__ = ["Key", "Translation", "key_text", "our_path"]
