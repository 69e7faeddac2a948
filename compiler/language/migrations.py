"""Edits that migrate a recipe from one version of the language to the next.

A migration is frozen when the next version is released: it names keys itself, and never looks at
the classes of the language as they are now. There is one version so far, and so no migration.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from ...schema.errors import Diagnostic
from ...schema.yaml_reader import Mark, Parsed
from ..yaml.cst import Node


@dataclass(frozen=True)
class Note:
    """One change of a migration, in words of the old and the new version."""

    line: int
    before: str
    after: str


@dataclass
class Edit:
    """A tree that is being changed; collects changes, and values that cannot be changed."""

    root: Node
    parsed: Parsed
    notes: list[Note] = field(default_factory=list)
    faults: list[Diagnostic] = field(default_factory=list)

    def rename(self, node: Node | None, old: str, new: str) -> None:
        """Give a mapping's key another name."""
        entry = node.entry(old) if node else None
        if node is None or entry is None:
            return
        if node.entry(new):
            self.fault(entry.mark, f"`{old}` and `{new}` are the same", "keep one of them")
            return
        entry.key = new
        self.notes.append(Note(entry.mark.line, old, new))

    def state(self, version: int) -> None:
        """Write the version that the tree has now."""
        entry = self.root.entry("recipe")
        if entry:
            entry.node.value, entry.node.source = version, str(version)

    def fault(self, mark: Mark, message: str, suggestion: str) -> None:
        """Record a value that has no place in the next version."""
        at = Parsed(self.parsed.file, None, self.parsed.lines, values={(): mark})
        self.faults.append(at.diagnose((), "migration", message, suggestion))


MIGRATIONS: dict[int, Callable[[Edit], None]] = {}
"""By version, the migration to the next one; without gaps, up to the current version."""
