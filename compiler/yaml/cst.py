"""Concrete syntax tree of a recipe: keeps comments and blank lines.

Formatting and migration work on this tree. Values and places are those of `schema.yaml`.
`compiler.comments` reads it, `compiler.layout` writes it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from ...schema.yaml_reader import Mark, Parsed, Path

BLANK = ""
"""Stands for a blank line in a list of comments."""


@dataclass
class Node:
    """A value.

    `source` is a scalar as it is written, and `style` its quote or block indicator; a scalar that
    was made, not read, has neither. `foot` are comments at the end of a mapping or list.
    """

    kind: Literal["mapping", "sequence", "scalar"]
    mark: Mark
    value: Any = None
    source: str = ""
    style: str | None = None
    flow: bool = False
    span: tuple[int, int] = (0, 0)
    entries: list[Entry] = field(default_factory=list)
    foot: list[str] = field(default_factory=list)

    def entry(self, key: str) -> Entry | None:
        """Return a mapping's entry of this key, or None."""
        return next((e for e in self.entries if e.key == key), None)

    def plain(self) -> Any:
        """Return the plain values below."""
        if self.kind == "mapping":
            return {entry.key: entry.node.plain() for entry in self.entries}
        if self.kind == "sequence":
            return [entry.node.plain() for entry in self.entries]
        return self.value


@dataclass
class Entry:
    """A key and its value, or (with the key None) an item of a list.

    `before` are the comments and blank lines above, `eol` the one at the line's end, `foot` those
    below that are indented deeper.
    """

    key: str | None
    mark: Mark
    node: Node
    start: int = -1
    column: int = 0
    before: list[str] = field(default_factory=list)
    eol: str | None = None
    foot: list[str] = field(default_factory=list)


@dataclass
class Tree:
    """A file: comments that belong to it as a whole, and its root mapping."""

    root: Node
    head: list[str] = field(default_factory=list)

    def comments(self) -> list[str]:
        """Return every comment, sorted."""
        found = [*self.head, *_comments(self.root)]
        return sorted(comment for comment in found if comment != BLANK)


def as_parsed(tree: Tree, parsed: Parsed) -> Parsed:
    """Return a changed tree's values, with the places that they have in the file."""
    found = Parsed(parsed.file, tree.root.plain(), parsed.lines)
    _places(tree.root, (), found)
    return found


def _places(node: Node, path: Path, found: Parsed) -> None:
    found.values[path] = node.mark
    for index, entry in enumerate(node.entries):
        below = (*path, index if entry.key is None else entry.key)
        found.keys[below] = entry.mark
        _places(entry.node, below, found)


def _comments(node: Node) -> Iterator[str]:
    yield from node.foot
    for entry in node.entries:
        yield from entry.before
        yield from entry.foot
        if entry.eol:
            yield entry.eol
        yield from _comments(entry.node)
