"""Upgrade recipes to this version of the language; comments and the recipe hash are kept.

Older recipes also run without it. Rewritten files get the canonical layout.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from ..compiler.language.migrate import CURRENT, language, migrate, read_as_written
from ..compiler.yaml.formatter import format_tree
from ..plugins.registry import load_registry
from .rewrite import RewrittenFile
from .rewrite import arguments as rewrite_arguments
from .rewrite import run as rewrite_run


def arguments(parser: ArgumentParser) -> None:
    """Add the command's arguments."""
    rewrite_arguments(parser)


def run(options: Namespace) -> int:
    """Rewrite every recipe of an older version."""
    registry = load_registry()

    def rewrite(raw: bytes, name: str) -> RewrittenFile:
        parsed = read_as_written(raw, name)
        before = raw.decode("utf-8")
        if language(parsed) == CURRENT:
            return RewrittenFile(name, before, before)
        tree, _, notes = migrate(raw, parsed)
        notes.sort(key=lambda note: note.line)
        said = [f"line {note.line}: {note.before} -> {note.after}" for note in notes]
        return RewrittenFile(name, before, format_tree(tree, name, registry), said)

    return rewrite_run(options, rewrite, f"migrated to version {CURRENT}")
