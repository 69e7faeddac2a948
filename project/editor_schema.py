"""Write the JSON Schema of the recipe language for editors, and name it in recipes."""

from __future__ import annotations

import json
import re
from pathlib import Path

from ..compiler.language.json_schema import language_schema
from ..plugins.registry import load_registry

FILE = "recipe.schema.json"
"""The name of the schema beside a recipe."""


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
