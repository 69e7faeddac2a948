"""Print the JSON Schema (draft 2020-12) of the recipe language with the installed plugins."""

from __future__ import annotations

import json
import re
from argparse import ArgumentParser, Namespace
from pathlib import Path

from ..compiler.language.json_schema import language_schema
from ..plugins.registry import load_registry
from .output import emit

FILE = "recipe.schema.json"
"""What the schema is called beside a recipe."""


def arguments(parser: ArgumentParser) -> None:
    """Add what this command takes."""
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
        print(schema_text(), end="")
        return 0
    path = write_schema(Path(options.write))
    emit(
        options,
        {"schema": str(path)},
        f"wrote {path}; editors use it for recipes that start with\n{modeline(FILE)}",
    )
    return 0


def schema_text() -> str:
    """Return the schema with the installed plugins as JSON text."""
    return json.dumps(language_schema(load_registry()), indent=1, ensure_ascii=False) + "\n"


def write_schema(folder: Path) -> Path:
    """Write the schema to a folder, in place of an older one, and return its path."""
    from ..runtime.store.atomic_io import write_atomically

    path = folder / FILE
    write_atomically(path, schema_text())
    return path


def name_schema(text: str, recipe: Path) -> str:
    """Return a recipe that names the schema of the working folder in its first line.

    `recipe` is where the text will lie, seen from there; a line that names another schema goes.
    """
    above = "../" * (len(recipe.parts) - 1)
    old = re.escape(modeline("")) + r".*\n"
    return modeline(above + FILE) + "\n" + re.sub(rf"\A{old}", "", text)


def modeline(path: str) -> str:
    """Return the comment by which editors find a recipe's schema: a path seen from the recipe."""
    return f"# yaml-language-server: $schema={path}"
