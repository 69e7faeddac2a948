"""Format a recipe in canonical layout.

- Keys are in the order of the language, `use` first, a plugin's parameters in the order of its
  model; unknown keys stay last, unchanged.
- Sections, data sets and lists of steps are blocks, indented by two. Every other mapping or list
  is on one line where it fits into 100 columns and holds no comment and no text of several lines;
  else it is a block too.
- One blank line parts sections, and data sets. Other blank lines are kept, one for several.
- Quotes stay where the text could be read as something else; numbers stay as they are written.
- Comments stay beside their subject: see `compiler.comments`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from ...plugins.registry import Registry
from ...schema.errors import InputError, RecipeError
from ...schema.recipe import DataSet, Expect, Recipe, Step, Validation
from ...schema.yaml_reader import Parsed, parse
from .cst import BLANK, Entry, Node, Tree
from .cst_reader import read_tree
from .key_order import ROOT, Place, arrange, below, plugin_of
from .writer import PLAIN, is_plain, quoted, scalar

WIDTH = 100
INDENT = "  "


def format_recipe(raw: bytes, parsed: Parsed, registry: Registry) -> str:
    """Return a recipe's text in canonical layout; `parsed` is what its bytes hold.

    Laws: it means the same, it has the same comments, and formatting it again changes nothing.

    Raises:
        InputError: another layout would change the text's values.
    """
    tree = read_tree(raw.decode("utf-8-sig"), parsed)
    return format_tree(tree, parsed.file, registry)


def format_tree(tree: Tree, file: str, registry: Registry) -> str:
    """Return a tree's text in canonical layout."""
    values, comments = tree.root.plain(), tree.comments()
    arrange(tree.root, registry)
    text = "\n".join(_Writer(registry).file(tree)) + "\n"
    _check(text, file, values, comments)
    return text


def _check(text: str, file: str, values: Any, comments: list[str]) -> None:
    """Read the text again: no value or comment may be lost."""
    try:
        again = parse(text.encode(), file)
        same = _same(again.data, values) and read_tree(text, again).comments() == comments
    except RecipeError:
        same = False
    if not same:
        raise InputError(
            "cannot be formatted without a change of meaning; it was left unchanged",
            file=file,
            hint="write keys and text in a plainer way; and please report it, with the file",
        )


def _same(one: Any, other: Any) -> bool:
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(_same, one, other))
    return bool(one == other)


class _Writer:
    """Writes nodes as lines, each block's lines without the indent of its parent."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry

    def file(self, tree: Tree) -> list[str]:
        head = _trimmed(tree.head)
        body = self.block(tree.root, ROOT, 0)
        if head and tree.head[-1] == BLANK:
            head.append(BLANK)
        return [*head, *body]

    def block(self, node: Node, place: Place, depth: int) -> list[str]:
        """Return a mapping or list over several lines."""
        lines: list[str] = []
        use = plugin_of(node)
        section = False
        for entry in node.entries:
            where = below(place, entry, self.registry, use)
            written = self.entry(entry, where, depth)
            was, section = section, self._parted(place, entry, where)
            before = _trimmed(entry.before, end=False)
            gap = BLANK in entry.before[:1] or was or section
            if lines and gap:
                lines.append(BLANK)
            lines += [*before, *written]
        return [*lines, *self._foot(node.foot, bool(lines))]

    def _parted(self, place: Place, entry: Entry, where: Place) -> bool:
        """Return whether blank lines go around an entry: sections and data sets."""
        apart = place.model is Recipe or (place.model is DataSet and place.many)
        return apart and self._is_block(entry.node, where, 0)

    def _foot(self, foot: list[str], follows: bool) -> list[str]:
        gap = [BLANK] if foot and foot[0] == BLANK and follows else []
        return [*gap, *_trimmed(foot)]

    def entry(self, entry: Entry, place: Place, depth: int) -> list[str]:
        """Return an entry's lines: what leads to the value, the value, the comments below."""
        lead = "-" if entry.key is None else f"{scalar(entry.key)}:"
        one_line = self.one_line(entry.node, place, INDENT * depth + lead)
        eol = f" {entry.eol}" if entry.eol else ""
        above: list[str] = []
        if one_line is not None:
            lines = [f"{lead} {one_line}{eol}"]
        elif entry.node.kind == "scalar":
            first, *rest = _scalar_lines(entry.node)
            if eol and first[:1] not in ("|", ">"):
                above, eol = [eol.strip()], ""
            lines = [f"{lead} {first}{eol}", *_indented(rest)]
        else:
            above, lines = self._nested(lead, eol, self.block(entry.node, place, depth + 1))
        inner = [] if entry.node.entries else entry.node.foot
        foot = _indented(self._foot([*inner, *entry.foot], True))
        return [*above, *lines, *foot]

    def _nested(self, lead: str, eol: str, inner: list[str]) -> tuple[list[str], list[str]]:
        """Return comments to put above, and a key or dash with the block below it."""
        if lead != "-":
            return [], [f"{lead}{eol}", *_indented(inner)]
        above = [eol.strip()] if eol else []
        if inner[0].startswith("#"):
            return above, [lead, *_indented(inner)]
        return above, [f"- {inner[0]}", *_indented(inner[1:])]

    def one_line(self, node: Node, place: Place, before: str) -> str | None:
        """Return a value written on its key's line, or None if it cannot be."""
        if node.kind == "scalar":
            lines = _scalar_lines(node)
            return lines[0] if len(lines) == 1 else None
        if not node.entries:
            return "{}" if node.kind == "mapping" else "[]"
        if self._is_block(node, place, len(before)):
            return None
        return self._flow(node)

    def _is_block(self, node: Node, place: Place, used: int) -> bool:
        if node.kind == "scalar" or not node.entries:
            return False
        section = place.model is not None and place.model is not Step
        if place.many or (section and place.model not in (Expect, Validation)):
            return True
        if not place.known and not node.flow:
            return True
        text = self._flow(node)
        return text is None or used + 1 + len(text) > WIDTH

    def _flow(self, node: Node) -> str | None:
        """Return a node in flow style, or None where a comment or its text forbids that."""
        if node.kind == "scalar":
            return _flow_scalar(node)
        if node.foot:
            return None
        items = []
        for entry in node.entries:
            text = self._flow(entry.node)
            if text is None or entry.eol or entry.foot or any(entry.before):
                return None
            items.append(text if entry.key is None else f"{scalar(entry.key)}: {text}")
        inside = ", ".join(items)
        return f"{{{inside}}}" if node.kind == "mapping" else f"[{inside}]"


def _indented(lines: list[str]) -> Iterator[str]:
    return (INDENT + line if line else line for line in lines)


def _trimmed(lines: list[str], end: bool = True) -> list[str]:
    """Return comments with single blank lines between, and none around them."""
    found: list[str] = []
    for line in lines:
        if line != BLANK or (found and found[-1] != BLANK):
            found.append(line)
    while end and found and found[-1] == BLANK:
        found.pop()
    return found


# ---- scalars as they are written ---------------------------------------------------------------


def _flow_scalar(node: Node) -> str | None:
    """Return a scalar inside braces or brackets, or None if it takes several lines."""
    if "\n" in node.source or node.style in ("|", ">"):
        return None
    (text,) = _scalar_lines(node)
    if text is node.source and node.style is None and not _flow_safe(text):
        return quoted(node.value)
    return text


def _scalar_lines(node: Node) -> list[str]:
    """Return a scalar's lines in a block; those after the first want the indent of the block."""
    value = node.value
    if not isinstance(value, str):
        return [_not_text(node)]
    if node.style in ("|", ">"):
        return _block(node)
    if node.source and "\n" in node.source:
        first, *rest = re.split(r"\r?\n", node.source)
        lines = [first, *(line.lstrip(" \t") for line in rest)]
        return [line.rstrip() for line in lines] if node.style is None else lines
    if node.source and node.style is None:
        return [node.source]
    if is_plain(value):
        return [value]
    simple = value.isprintable() and '"' not in value and "\\" not in value
    return [quoted(value) if simple or not node.source else node.source]


def _not_text(node: Node) -> str:
    number = isinstance(node.value, int | float) and not isinstance(node.value, bool)
    return node.source if number and node.source else scalar(node.value)


def _flow_safe(text: str) -> bool:
    """Return whether plain text needs no quotes inside braces and brackets."""
    if PLAIN.fullmatch(text):
        return True
    return not re.search(r"[,\[\]{}]|[:?](?![\w/])", text) and not text.startswith(("?", ":"))


def _block(node: Node) -> list[str]:
    """Return `|` or `>` and the lines, indented; or a quoted text where those would not do."""
    value: str = node.value
    text = value.rstrip("\n")
    ends = len(value) - len(text)
    header = re.match(r"[|>]([-+0-9]*)", node.source)
    odd = ends > 1 or not text.rpartition("\n")[2].strip()
    odd = odd or not re.sub("[\n\t]", "", text).isprintable()
    if header is None or odd:
        return [quoted(value)]
    mark = node.style if node.style == ">" and not re.search("[0-9]", header[1]) else "|"
    lines = _folded(node.source) if mark == ">" else text.split("\n")
    first = next(line for line in lines if line)
    indicator = "2" if mark == "|" and first.startswith(" ") else ""
    return [f"{mark}{indicator}{'' if ends else '-'}", *lines]


def _folded(source: str) -> list[str]:
    """Return the lines of a folded text without their indent."""
    lines = source.splitlines()[1:]
    while not lines[-1].strip():
        lines.pop()
    first = next(line for line in lines if line.strip())
    indent = len(first) - len(first.lstrip(" "))
    return [line[indent:] for line in lines]
