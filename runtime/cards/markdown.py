"""Markdown that text of others cannot break out of: table cells, lines, origins of sources."""

from __future__ import annotations

from ...schema.plan import PlanStep
from ...schema.printable import one_line


def origin(source: PlanStep) -> str:
    """Return where a source is from, at its revision."""
    material = source.material
    revision = f" at `{material.revision}`" if material and material.revision else ""
    place = f": {source.origin}" if source.origin else ""
    return f"{source.plugin.name}{place}{revision}"


def markdown_table(head: list[str], rows: list[list[str]]) -> list[str]:
    """Return the lines of a table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return [f"| {' | '.join(inline(cell).replace('|', '/') for cell in line)} |" for line in lines]


def inline(text: str) -> str:
    """Return text of others that stays on its line and holds no HTML."""
    return one_line(text).replace("&", "&amp;").replace("<", "&lt;")
