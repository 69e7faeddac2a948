"""Write the JSON Schema of the recipe language for editors, and name it in recipes."""

from __future__ import annotations

import json
import re
from pathlib import Path

from ..compiler.language.json_schema import language_schema
from ..compiler.load import load_leniently
from ..compiler.plugin_files import with_plugin_files
from ..plugins.registry import load_registry
from .bundled_recipes import open_recipe

FILE = "recipe.schema.json"
"""The name of the schema beside a recipe."""


def schema_text(recipe: str | None = None) -> str:
    """Return the schema with the installed plugins, and those of a recipe's files, as JSON text.

    Raises:
        InputError: there is no such recipe, or one of its plugin files cannot be loaded.
    """
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

    `recipe` is where the text will lie, seen from there; a line that names another schema is
    replaced.
    """
    above = "../" * (len(recipe.parts) - 1)
    old = re.escape(modeline("")) + r".*\n"
    return modeline(above + FILE) + "\n" + re.sub(rf"\A{old}", "", text)


def modeline(path: str) -> str:
    """Return the comment by which editors find a recipe's schema: a path seen from the recipe."""
    return f"# yaml-language-server: $schema={path}"
