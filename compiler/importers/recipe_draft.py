"""A recipe in the making: values by path, comments beside them, and the canonical layout."""

from __future__ import annotations

import textwrap
from typing import Any

from ...plugins.registry import UNDECIDED, Registry
from ...schema.yaml_reader import Mark
from ..yaml.cst import BLANK, Entry, Node, Tree
from ..yaml.formatter import format_tree

Place = tuple[str, ...]

MARK = Mark(1, 1, 1)
BESIDE = 70
"""Longer comments stand above their value, wrapped."""


class Draft:
    """Values and comments by path."""

    def __init__(self) -> None:
        self.data: dict[str, Any] = {}
        self.comments: dict[Place, str] = {}

    def set(self, place: Place, value: Any, comment: str | None = None) -> None:
        """Put a value at a path, and a comment beside it; an earlier value there goes.

        A plugin that is to be decided stays so.
        """
        *above, last = place
        data = self.data
        for part in above:
            data = data.setdefault(part, {})
        if last == "use" and data.get(last) == UNDECIDED:
            return
        data[last] = value
        if comment:
            self.comments[place] = _plain(comment)

    def get(self, place: Place) -> Any:
        """Return the value at a path, or None."""
        data: Any = self.data
        for part in place:
            data = data.get(part) if isinstance(data, dict) else None
        return data

    def has(self, place: Place) -> bool:
        """Return whether a value was put at a path, be it null."""
        above = self.get(place[:-1]) if len(place) > 1 else self.data
        return isinstance(above, dict) and place[-1] in above

    def text(self, file: str, head: list[str], registry: Registry) -> str:
        """Return the recipe's text in canonical layout, with comments about it on top."""
        lines = [line for text in head for line in _wrapped(text)]
        tree = Tree(self._mapping(self.data, ()), [*lines, BLANK] if lines else [])
        return format_tree(tree, file, registry)

    def _mapping(self, data: dict[str, Any], place: Place) -> Node:
        entries = [self._entry(key, value, (*place, key)) for key, value in data.items()]
        return Node("mapping", MARK, entries=entries)

    def _entry(self, key: str, value: Any, place: Place) -> Entry:
        entry = Entry(key, MARK, self._node(value, place))
        comment = self.comments.get(place, "")
        if len(comment) > BESIDE:
            entry.before = _wrapped(comment)
        elif comment:
            entry.eol = f"# {comment}"
        return entry

    def _node(self, value: Any, place: Place) -> Node:
        if isinstance(value, dict):
            return self._mapping(value, place)
        if isinstance(value, list):
            items = [Entry(None, MARK, self._node(item, ())) for item in value]
            return Node("sequence", MARK, entries=items)
        return Node("scalar", MARK, value)


def _wrapped(text: str) -> list[str]:
    return [f"# {line}" for line in textwrap.wrap(_plain(text), 90)]


def _plain(text: str) -> str:
    """Return a text that a comment can hold: on one line, nothing that cannot be printed."""
    line = " ".join(text.split())
    return "".join(character if character.isprintable() else "?" for character in line)
