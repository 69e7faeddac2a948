"""Start a recipe from a shipped one, with the files that it reads."""

from __future__ import annotations

import contextlib
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from ..compiler.compile import compile_recipe
from ..plugins.registry import load_registry
from ..schema.errors import InputError
from .bundled_recipes import open_recipe, shipped_folder
from .editor_schema import modeline, name_schema, write_schema


@dataclass(frozen=True)
class NewRecipe:
    """A recipe that was started: its path, the copied files, the schema, the shipped recipe."""

    recipe: Path
    copies: list[Path]
    schema: Path
    origin: str


def new_recipe(name: str, origin: str) -> NewRecipe:
    """Write `name`.yaml to the working folder, and the files that the shipped recipe needs.

    Raises:
        InputError: the name cannot be that of a recipe, a file is there already, or there is no
            such shipped recipe. Nothing is left behind then.
    """
    name = name.removesuffix(".yaml")
    if not re.fullmatch(r"[a-z0-9][a-z0-9._-]*", name):
        raise InputError(
            f"`{name}` cannot name a recipe", hint="use lower-case letters, digits, dots and dashes"
        )
    shipped, raw = open_recipe(origin, shipped_folder())
    target = Path(f"{name}.yaml")
    copies = {path: Path(path.relative_to(shipped_folder())) for path in _needed(origin)}
    for path in (target, *copies.values()):
        if path.exists():
            raise InputError(f"{path} exists already", hint="start in an empty folder")
    try:
        for path, copy in copies.items():
            _copy(path, copy)
        text = re.sub(r"(?m)^name: .*$", f"name: {name}", raw.decode(), count=1)
        target.write_text(name_schema(text, target), encoding="utf-8")
        schema = write_schema(Path())
    except BaseException:
        _remove([target, *copies.values()])
        raise
    return NewRecipe(target, list(copies.values()), schema, shipped.name)


def _copy(path: Path, copy: Path) -> None:
    copy.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(path, copy)
    if copy.suffix == ".yaml" and copy.read_text("utf-8").startswith(modeline("")):
        copy.write_text(name_schema(copy.read_text("utf-8"), copy), encoding="utf-8")


def _remove(paths: list[Path]) -> None:
    """Remove files that were written before a failure, so that a second try can succeed."""
    for path in paths:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)
            path.parent.rmdir()  # where nothing else is in it


def _needed(name: str) -> list[Path]:
    """Return the recipes that a shipped recipe extends and the files that its sources read."""
    registry = load_registry()
    compiled = compile_recipe(name, shipped_folder(), open_recipe, registry)
    found = compiled.loaded.files[1:]
    for step in compiled.plan.steps:
        if step.kind == "source" and step.plugin.name == "files":
            folder = compiled.folders[step.name]
            source = registry.create("source", "files", step.plugin.params)
            root = folder / source.params.folder
            found += [root / file.path for file in source.pin(folder).files]
    return found
