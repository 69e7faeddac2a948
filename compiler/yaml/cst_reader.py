"""Parse recipe text to a syntax tree, and attach comments to entries.

Comments are what starts with # outside of scalars. One belongs

- at a line's end, to what ends there;
- on a line of its own, to the entry below it, unless it is indented deeper than that one: then to
  the end of the block above that it is indented with;
- before the first entry and parted from it by a blank line (or meant for an editor), to the file.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from typing import Any, Literal

from ...schema.yaml_reader import Mark, Parsed, Path
from .cst import BLANK, Entry, Node, Tree

COMMENT = re.compile(r"#[^\n\r\x85\u2028\u2029]*")
HEADER = re.compile(r"(?:!\S*\s+)?[|>][-+0-9]*[ \t]+(#[^\n\r]*)")
"""The comment beside a block scalar's indicator."""
MODELINE = re.compile(r"#\s*yaml-language-server:|#!|#\s*-\*-|#\s*vim:")


def read_tree(text: str, parsed: Parsed) -> Tree:
    """Return the tree of a text; `parsed` is what `schema.yaml.parse` made of it."""
    from ruamel.yaml import YAML

    reader = _CstReader(text, parsed)
    tree = Tree(reader.node(YAML(typ="safe", pure=True).compose(text), ()))
    _Placer(text, reader, tree).place()
    return tree


class _CstReader:
    """Makes nodes of what ruamel.yaml composed, and notes where scalars are."""

    def __init__(self, text: str, parsed: Parsed) -> None:
        self.text = text
        self.parsed = parsed
        self.scalars: list[tuple[int, int]] = []
        self.chains: list[tuple[Entry, ...]] = []
        """Each entry, in order of the text, after those that it is in."""
        self.flows: list[Node] = []
        """Each mapping or list in flow style that is in no other one."""

    def node(self, raw: Any, path: Path, chain: tuple[Entry, ...] = ()) -> Node:
        mark = self.parsed.values[path]
        start, end = raw.start_mark.index, raw.end_mark.index
        if raw.id == "scalar":
            return self._scalar(raw, path, mark, start, end)
        kind: Literal["mapping", "sequence"] = "mapping" if raw.id == "mapping" else "sequence"
        node = Node(kind, mark, flow=bool(raw.flow_style), span=(start, end))
        if node.flow and not (self.flows and start < self.flows[-1].span[1]):
            self.flows.append(node)
        column = raw.start_mark.column
        for index, item in enumerate(raw.value):
            key, value = item if kind == "mapping" else (None, item)
            entry = self._entry(key, value, (*path, index if key is None else str(key.value)))
            entry.column = entry.column if node.flow else column
            node.entries.append(entry)
            below = (*chain, entry)
            self.chains.append(below)
            entry.node = self.node(value, self._path(path, entry, index), below)
            header = HEADER.match(self.text, value.start_mark.index)
            if header and value.id == "scalar" and value.style in ("|", ">"):
                entry.eol = header[1].rstrip()
        return node

    def _path(self, path: Path, entry: Entry, index: int) -> Path:
        return (*path, index if entry.key is None else entry.key)

    def _entry(self, key: Any, value: Any, path: Path) -> Entry:
        mark = self.parsed.keys[path]
        empty = Node("scalar", mark)
        if key is None:
            return Entry(None, mark, empty, value.start_mark.index, value.start_mark.column)
        start = key.start_mark.index
        self.scalars.append((start, key.end_mark.index))
        return Entry(str(key.value), mark, empty, start, key.start_mark.column)

    def _scalar(self, raw: Any, path: Path, mark: Mark, start: int, end: int) -> Node:
        value: Any = self.parsed.data
        for part in path:
            value = value[part]
        source = self.text[start:end]
        if raw.style in ("|", ">"):
            # Blank lines that follow are the file's, and kept as such.
            end = start + len(source.rstrip())
        if end > start:
            self.scalars.append((start, end))
        tagged = source.startswith("!")
        return Node(
            "scalar",
            mark,
            value,
            "" if tagged else source,
            None if tagged else raw.style,
            span=(start, end),
        )


class _Placer:
    """Gives each comment and blank line to an entry."""

    def __init__(self, text: str, reader: _CstReader, tree: Tree) -> None:
        self.text = text
        self.tree = tree
        self.flows = reader.flows
        self.scalars = sorted(reader.scalars)
        self.chains = reader.chains
        found = list(self._find())
        bare = list(text)
        for start, end in [*self.scalars, *((m.start(), m.end()) for m in found)]:
            bare[start:end] = " " * (end - start)
        self.bare = "".join(bare)
        self.found = found
        self._set_dashes(tree.root)
        self.starts = [chain[-1].start for chain in self.chains]
        self.ends = {
            chain[-1].node.span[1]: chain[-1]
            for chain in self.chains
            if chain[-1].node.flow or (chain[-1].node.kind == "scalar" and chain[-1].node.source)
        }

    def place(self) -> None:
        """Place all, in order of the text."""
        comments = {match.start(): match for match in self.found}
        blank = False
        offset = 0
        own: set[int] = set()
        for line in self.text.splitlines(keepends=True):
            first = offset + len(line) - len(line.lstrip())
            if self._inside(offset):
                blank = False
            elif not line.strip():
                blank = True
            elif first in comments:
                own.add(first)
                self._own(comments[first], first - offset, blank)
                blank = False
            else:
                if blank:
                    self._blank(offset)
                blank = False
            offset += len(line)
        for start, match in comments.items():
            if start not in own:
                self._at_end(match)
        self._lift_head()

    def _find(self) -> Iterator[re.Match[str]]:
        """Yield every comment: what starts with # outside of scalars."""
        position = 0
        for start, end in [*self.scalars, (len(self.text), len(self.text))]:
            yield from COMMENT.finditer(self.text, position, max(start, position))
            position = max(end, position)

    def _set_dashes(self, node: Node) -> None:
        """Let each item of a block list start at its dash."""
        for entry in node.entries:
            if entry.key is None and not node.flow:
                entry.start = self.bare.rfind("-", 0, entry.start)
                if entry.start < 0:
                    entry.start = node.span[0]
            self._set_dashes(entry.node)

    def _inside(self, offset: int) -> bool:
        index = bisect_right(self.scalars, (offset, len(self.text) + 1)) - 1
        return index >= 0 and self.scalars[index][0] < offset < self.scalars[index][1]

    def _next(self, offset: int) -> Entry | None:
        index = bisect_right(self.starts, offset)
        return self.chains[index][-1] if index < len(self.chains) else None

    def _flow(self, offset: int) -> Node | None:
        """Return the innermost mapping or list in flow style around an offset."""
        index = bisect_left(self.flows, offset, key=lambda node: node.span[0]) - 1
        found = None
        inside = self.flows[index : index + 1] if index >= 0 else []
        while inside:
            around = [n for n in inside if n.flow and n.span[0] < offset < n.span[1]]
            found = around[0] if around else found
            inside = [entry.node for node in around for entry in node.entries]
        return found

    def _blank(self, offset: int) -> None:
        entry = self._next(offset - 1)
        if entry is not None and self._flow(offset) is None:
            line_end = self.text.find("\n", offset)
            if entry.start <= line_end or line_end < 0:
                entry.before.append(BLANK)

    def _own(self, match: re.Match[str], column: int, blank: bool) -> None:
        """Place a comment that has its line to itself."""
        target = self._target(match.start(), column)
        if blank:
            target.append(BLANK)
        target.append(match[0].rstrip())

    def _target(self, offset: int, column: int) -> list[str]:
        below = self._next(offset)
        flow = self._flow(offset)
        if flow is not None:
            later = (entry for entry in flow.entries if entry.start > offset)
            inner = next(later, None)
            return inner.before if inner else flow.foot
        index = bisect_left(self.starts, offset) - 1
        if self.tree.root.flow and index >= 0:
            return self.tree.root.foot
        if index < 0:
            return below.before if below else self.tree.root.foot
        return self._in_block(index, below, offset, column)

    def _in_block(self, index: int, below: Entry | None, offset: int, column: int) -> list[str]:
        """Return the owner of a comment between an entry and the one below it, if any."""
        chain = self.chains[index]
        last = chain[-1].node
        whole = last.flow or (last.kind == "scalar" and last.span[1] > last.span[0])
        if whole and last.span[0] > offset:
            return chain[-1].before
        first = index + 1 < len(self.chains) and self.chains[index + 1][:-1] == chain
        if below is not None and (first or column <= below.column):
            return below.before
        if last.style in ("|", ">") and column > chain[-1].column:
            # Indented like the text it would be text.
            column = chain[-1].column
            if below is not None and below.column == column:
                return below.before
        return self._above(chain, column)

    def _above(self, chain: tuple[Entry, ...], column: int) -> list[str]:
        """Return the place of a comment that is indented like the line above it."""
        flow = next((i for i, entry in enumerate(chain) if entry.node.flow), len(chain))
        chain = chain[: flow + 1]
        depth = max((i for i, entry in enumerate(chain) if entry.column <= column), default=-1)
        if depth < 0:
            return self.tree.root.foot
        entry = chain[depth]
        if entry.column == column:
            return chain[depth - 1].node.foot if depth else self.tree.root.foot
        return entry.node.foot if depth + 1 < len(chain) else entry.foot

    def _at_end(self, match: re.Match[str]) -> None:
        """Place a comment that follows something on its line."""
        line = self.text.rfind("\n", 0, match.start()) + 1
        end = line + len(self.text[line : match.start()].rstrip(", \t"))
        entry = self.ends.get(end)
        if entry is None:
            index = bisect_right(self.starts, end - 1) - 1
            entry = self.chains[index][-1] if index >= 0 else None
        comment = match[0].rstrip()
        if entry is None:
            self.tree.head.append(comment)
        elif entry.eol is None:
            entry.eol = comment
        else:
            entry.before.append(comment)

    def _lift_head(self) -> None:
        """Take out of the first entry's comments those that are about the file."""
        if not self.chains:
            return
        before = self.chains[0][-1].before
        cut = 0
        while cut < len(before) and MODELINE.match(before[cut]):
            cut += 1
        if BLANK in before:
            cut = max(cut, len(before) - before[::-1].index(BLANK))
        self.tree.head += before[:cut]
        del before[:cut]
