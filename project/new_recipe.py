"""Start a recipe: from a file of data, from a starter, or from a shipped recipe with its files."""

from __future__ import annotations

import contextlib
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ..compiler.compile import compile_recipe
from ..compiler.validate import validate
from ..plugins.registry import Registry, load_registry
from ..schema.errors import InputError
from .bundled_recipes import open_recipe, refuse_secrets, shipped_folder
from .editor_schema import modeline, name_schema, write_schema
from .first_recipe.base_choice import choose_base
from .first_recipe.data_file import DataFile, look_at
from .first_recipe.recipe_text import STARTERS, curation_recipe, training_recipe

BASE = "smollm2"
"""The base of a recipe where none is named: small, from PyPI, under a free license."""


@dataclass(frozen=True)
class NewRecipe:
    """A recipe that was started.

    Attributes:
        recipe: its path.
        copies: the files that were copied.
        schema: the JSON Schema beside it.
        origin: the shipped recipe, the starter, or the file of data.
        data: the data that it was written for; None for a copy of a shipped recipe.
        trains: whether it trains a model.
    """

    recipe: Path
    copies: list[Path]
    schema: Path
    origin: str
    data: DataFile | None = None
    trains: bool = True


def new_recipe(name: str, origin: str) -> NewRecipe:
    """Write `name`.yaml to the working folder, and the files that the shipped recipe needs.

    Raises:
        InputError: the name cannot be that of a recipe, a file is there already, or there is no
            such shipped recipe. Nothing is left behind then.
    """
    target = _target(name)
    shipped, raw = open_recipe(origin, shipped_folder())
    copies = {path: Path(path.relative_to(shipped_folder())) for path in _needed(origin)}
    _refuse_existing([target, *copies.values()])
    try:
        for path, copy in copies.items():
            _copy(path, copy)
        text = re.sub(r"(?m)^name: .*$", f"name: {target.stem}", raw.decode(), count=1)
        target.write_text(name_schema(text, target), encoding="utf-8")
        schema = write_schema(Path())
    except BaseException:
        _remove([target, *copies.values()])
        raise
    return NewRecipe(target, list(copies.values()), schema, shipped.name)


def recipe_for_data(
    name: str,
    file: str,
    *,
    base: str | None = None,
    columns: Mapping[str, str] | None = None,
    curate: bool = False,
) -> NewRecipe:
    """Look at a file of data, and write `name`.yaml for it to the working folder.

    Args:
        name: the recipe's name.
        file: the data: JSON lines, JSON, CSV, TSV or Parquet.
        base: a short name, a repository of the hub or a folder; see `first_recipe.base_choice`.
        columns: {our column: their field}, where the fields have no usual names.
        curate: whether the recipe ends with its data.

    Raises:
        InputError: the name or the base cannot be used, the file cannot be read or its columns
            are unknown, or there is a recipe of this name already. Nothing is written then.
    """
    _refuse_existing([_target(name)])
    registry = load_registry()
    return _write(name, look_at(file, registry, columns), base, curate, file, registry)


def recipe_from_starter(name: str, starter: str, base: str | None = None) -> NewRecipe:
    """Write `name`.yaml for data that is still to be written; `starter` is one of `STARTERS`.

    Raises:
        InputError: as of `recipe_for_data`.
    """
    _refuse_existing([_target(name)])
    data = STARTERS[starter][0]
    return _write(name, data, base, starter == "curate", starter, load_registry())


def _write(
    name: str, data: DataFile, base: str | None, curate: bool, origin: str, registry: Registry
) -> NewRecipe:
    """Write a recipe for data, checked as `recipe validate` does."""
    target = _target(name)
    if curate:
        if base is not None:
            raise InputError("`--base` is for recipes that train", hint="`curate` trains nothing")
        text = curation_recipe(target.stem, data, registry)
    else:
        text = training_recipe(target.stem, data, choose_base(base or BASE), registry)
    text = name_schema(text, target)
    refuse_secrets(text.encode(), str(target))
    validate(target.name, Path.cwd(), lambda *_: (target.resolve(), text.encode()), registry)
    try:
        target.write_text(text, encoding="utf-8")
        schema = write_schema(Path())
    except BaseException:
        _remove([target])
        raise
    return NewRecipe(target, [], schema, origin, data, trains=not curate)


def _target(name: str) -> Path:
    name = name.removesuffix(".yaml")
    if not re.fullmatch(r"[a-z0-9][a-z0-9._-]{0,59}", name):
        raise InputError(
            f"`{name}` cannot name a recipe",
            hint="use lower-case letters, digits, dots and dashes, 60 at most",
        )
    return Path(f"{name}.yaml")


def _refuse_existing(paths: list[Path]) -> None:
    for path in paths:
        if path.exists():
            raise InputError(f"{path} exists already", hint="choose another name, or folder")


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
