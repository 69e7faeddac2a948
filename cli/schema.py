"""Print the JSON Schema (draft 2020-12) of the recipe language with the installed plugins.

With a recipe, its plugin files are run, and the schema includes their plugins.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from ..project.editor_schema import FILE, modeline, schema_text, write_schema
from .output import emit


def arguments(parser: ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument(
        "file", nargs="?", metavar="FILE", help="a recipe whose plugin files to include"
    )
    parser.add_argument(
        "--write",
        metavar="FOLDER",
        nargs="?",
        const=".",
        help=f"write {FILE} there (default: here), for editors",
    )


def run(options: Namespace) -> int:
    """Print the schema, which is JSON with and without `--json`; or write it for editors."""
    if options.write is None:
        print(schema_text(options.file), end="")
        return 0
    path = write_schema(Path(options.write), options.file)
    emit(
        options,
        {"schema": str(path)},
        f"wrote {path}; editors use it for recipes that start with\n{modeline(FILE)}",
    )
    return 0
