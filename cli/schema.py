"""Print the JSON Schema (draft 2020-12) of the recipe language with the installed plugins.

With a recipe, its plugin files are run and their plugins are in the schema too.
"""

from __future__ import annotations

import json
import re
from argparse import ArgumentParser, Namespace
from pathlib import Path

from ..compiler.language.json_schema import language_schema
from ..compiler.load import load_leniently
from ..compiler.plugin_files import with_plugin_files
from ..plugins.registry import load_registry
from .output import emit
from .shipped import open_recipe

FILE = "recipe.schema.json"
"""What the schema is called beside a recipe."""


def arguments(parser: ArgumentParser) -> None:
    """Add what this command takes."""
    parser.add_argument(
        "file", nargs="?", metavar="FILE", help="a recipe whose plugin files are taken in"
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


def schema_text(recipe: str | None = None) -> str:
    """Return the schema with the installed plugins, and those of a recipe's files, as JSON text."""
    registry = load_registry()
    if recipe is not None:
        loaded = load_leniently(recipe, Path.cwd(), open_recipe)
        registry = with_plugin_files(loaded, registry, open_recipe)
    return json.dumps(language_schema(registry), indent=1, ensure_ascii=False) + "\n"


def write_schema(folder: Path, recipe: str | None = None) -> Path:
    """Write the schema to a folder, in place of an older one, and return its path."""
    from ..runtime.store.atomic_io import write_atomically

    path = folder / FILE
    write_atomically(path, schema_text(recipe))
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
