"""The installed plugins: kind, name, version, distribution, what each does."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from ..plugins.registry import load_registry
from .output import columns, emit


def arguments(parser: ArgumentParser) -> None:
    """Add what this command takes."""
    parser.add_argument("kind", nargs="?", metavar="KIND", help="only plugins of this kind")


def run(options: Namespace) -> int:
    """Print a line per plugin."""
    found = [
        {
            "kind": entry.plugin.kind,
            "name": entry.plugin.name,
            "version": entry.plugin.version,
            "distribution": f"{entry.distribution.name} {entry.distribution.version}",
            "summary": entry.plugin.summary(),
        }
        for entry in load_registry()
        if options.kind in (None, entry.plugin.kind)
    ]
    rows = [tuple(str(value) for value in plugin.values()) for plugin in found]
    emit(options, found, columns(rows))
    return 0
