"""A recipe -> the text of another tool's configuration, and the report on every value."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..yaml.writer import layout
from . import axolotl, trl
from .outgoing import Entry, Outgoing

EXPORTERS: dict[str, tuple[str, Callable[[Outgoing], None]]] = {
    "axolotl": ("axolotl", axolotl.translate),
    "trl": ("TRL", trl.translate),
}
"""Tools by their name on the command line: what they are called, and the translation."""
SHOWN = 14
"""Lines about values that are not mapped on top of a configuration."""


@dataclass(frozen=True)
class Exported:
    """A configuration's text, and what became of every value of the recipe."""

    text: str
    tool: str
    mapped: list[Entry]
    inert: list[Entry]
    not_mapped: list[Entry]

    @property
    def complete(self) -> bool:
        """Whether the configuration says everything that changes the training."""
        return not self.not_mapped

    def as_json(self) -> dict[str, Any]:
        """Return the lists for scripts."""
        lists = {"mapped": self.mapped, "inert": self.inert, "not_mapped": self.not_mapped}
        entries = {name: [one.as_json() for one in part] for name, part in lists.items()}
        return {"tool": self.tool, "complete": self.complete} | entries


def export_config(recipe: dict[str, Any], kind: str) -> Exported:
    """Return the configuration of a tool that trains what a bound recipe trains.

    Args:
        recipe: The recipe with every default written out.
        kind: One of `EXPORTERS`.
    """
    tool, translate = EXPORTERS[kind]
    out = Outgoing(recipe, tool)
    translate(out)
    out.finish()
    head = [f"# From the khichdi recipe {recipe['name']}."]
    lost = [f"# Not mapped: {one.path}: {one.note}" for one in out.not_mapped]
    if len(lost) > SHOWN:
        lost = [*lost[: SHOWN - 1], f"# Not mapped: {len(lost) - SHOWN + 1} more"]
    lines = [line.text for line in layout(out.config)]
    text = "\n".join([*head, *lost, "", *lines]) + "\n"
    return Exported(text, tool, out.mapped, out.inert, out.not_mapped)
