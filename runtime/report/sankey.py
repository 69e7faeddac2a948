"""Draw flows in columns: bands as wide as the rows that they stand for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from ...schema.printable import one_line

WIDTH, BAR, RIGHT = 860, 12, 190
"""Of the drawing, of a node, and of the room for words right of the last column."""
SLOT, GAP, TALL = 17, 7, 300
"""The least height of a node with its words, the room between nodes, the height of all rows."""
NAME = 30
"""Characters of a name that are drawn; a pointer on it shows all."""


@dataclass(frozen=True)
class Link:
    """Rows that go from a node in a column to one in the next."""

    source: str
    target: str
    rows: int
    dropped: bool
    column: int


@dataclass
class _Node:
    name: str
    rows: int
    dropped: bool
    x: float
    y: float = 0
    height: float = 0
    used: float = 0
    filled: float = 0


def sankey(name: str, title: str, links: Sequence[Link]) -> Any:
    """Return the drawing as SVG for a page, or None where no rows flow.

    Args:
        name: unique in the page.
        title: the drawing in words.
        links: the flows, in any order.
    """
    from markupsafe import Markup

    flows = [link for link in links if link.rows > 0]
    if not flows:
        return None
    columns = _placed(flows)
    tall = max(node.y + max(node.height, SLOT) for nodes in columns for node in nodes.values())
    flows = _in_order(flows, columns)
    bands = [_band(link, columns[link.column], columns[link.column + 1]) for link in flows]
    nodes = [_node(node) for column in columns for node in column.values()]
    head = (
        f'<svg viewBox="0 0 {WIDTH} {tall + 8:.0f}" role="img" '
        f'aria-labelledby="{name}-title {name}-said">'
        f'<title id="{name}-title">{escape(title)}</title>'
        f'<desc id="{name}-said">{len(flows)} flows of rows, in the table below.</desc>'
    )
    return Markup(f"{head}{''.join(bands)}{''.join(nodes)}</svg>")


def _placed(flows: Sequence[Link]) -> list[dict[str, _Node]]:
    """Return the nodes of each column, at their places."""
    count = max(link.column for link in flows) + 2
    step = (WIDTH - RIGHT - BAR) / max(1, count - 1)
    columns: list[dict[str, _Node]] = [{} for _ in range(count)]
    into: dict[tuple[int, str], int] = {}
    out: dict[tuple[int, str], int] = {}
    for link in flows:
        for column, name, ends in (
            (link.column, link.source, out),
            (link.column + 1, link.target, into),
        ):
            ends[column, name] = ends.get((column, name), 0) + link.rows
            dropped = link.dropped and column > link.column
            columns[column].setdefault(name, _Node(name, 0, dropped, column * step))
    most = 1
    for number, nodes in enumerate(columns):
        for node in nodes.values():
            at = (number, node.name)
            node.rows = max(into.get(at, 0), out.get(at, 0))
        most = max(most, sum(node.rows for node in nodes.values()))
    for number, nodes in enumerate(columns):
        ordered = sorted(nodes.values(), key=lambda node: (node.dropped, -node.rows, node.name))
        columns[number] = {node.name: node for node in ordered}
        y = 4.0
        for node in ordered:
            node.y, node.height = y, max(1.5, TALL * node.rows / most)
            y += max(node.height, SLOT) + GAP
    return columns


def _in_order(flows: Sequence[Link], columns: Sequence[dict[str, _Node]]) -> list[Link]:
    """Return flows by the places of their ends, so that bands cross no more than they have to."""
    at = [{name: place for place, name in enumerate(column)} for column in columns]

    def places(link: Link) -> tuple[int, int, int]:
        column = link.column
        return column, at[column][link.source], at[column + 1][link.target]

    return sorted(flows, key=places)


def _band(link: Link, sources: dict[str, _Node], targets: dict[str, _Node]) -> str:
    one, other = sources[link.source], targets[link.target]
    thick = [max(1.0, node.height * link.rows / max(1, node.rows)) for node in (one, other)]
    y1, y2 = one.y + one.used, other.y + other.filled
    one.used += thick[0]
    other.filled += thick[1]
    x1, x2 = one.x + BAR, other.x
    bend = (x1 + x2) / 2
    path = (
        f"M{x1:.1f},{y1:.1f}C{bend:.1f},{y1:.1f} {bend:.1f},{y2:.1f} {x2:.1f},{y2:.1f}"
        f"V{y2 + thick[1]:.1f}"
        f"C{bend:.1f},{y2 + thick[1]:.1f} {bend:.1f},{y1 + thick[0]:.1f} "
        f"{x1:.1f},{y1 + thick[0]:.1f}Z"
    )
    color = "var(--drop)" if link.dropped else "var(--flow)"
    words = f"{_safe(link.source)} to {_safe(link.target)}: {link.rows:,} rows"
    return f'<path d="{path}" fill="{color}" fill-opacity=".55"><title>{words}</title></path>'


def _node(node: _Node) -> str:
    color = "var(--drop)" if node.dropped else "var(--c1)"
    short = node.name if len(node.name) <= NAME else node.name[: NAME - 1] + "…"
    middle = node.y + max(node.height, 11) / 2 + 4
    return (
        f'<rect x="{node.x:.1f}" y="{node.y:.1f}" width="{BAR}" height="{node.height:.1f}" '
        f'rx="2" fill="{color}"/>'
        f'<text x="{node.x + BAR + 6:.1f}" y="{middle:.1f}" font-size="13.5" '
        f'style="paint-order:stroke;stroke:var(--panel);stroke-width:3.5px;stroke-linejoin:round">'
        f"<title>{_safe(node.name)}</title>{_safe(short)}  {node.rows:,}</text>"
    )


def _safe(text: str) -> str:
    return escape(one_line(text))
