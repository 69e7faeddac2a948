"""Compile a recipe in one call: text -> bound recipe -> plan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ..plugins.registry import Registry
from ..schema.errors import Diagnostic
from ..schema.lock import Lock
from ..schema.plan import Plan
from ..schema.recipe import Recipe
from .load import Loaded, Open
from .lower import lower, source_places
from .validate import validate


@dataclass(frozen=True)
class Compiled:
    """A recipe on its way through the compiler.

    `folders` has, for each source step, the folder of the file that wrote it: relative paths
    start there. `registry` has the installed plugins and those of the recipe's plugin files.
    `breaches` are of the recipe's rules, where they were allowed.
    """

    loaded: Loaded
    recipe: Recipe
    plan: Plan
    folders: dict[str, Path]
    registry: Registry
    breaches: tuple[Diagnostic, ...] = ()


def compile_recipe(
    name: str,
    folder: Path,
    open_recipe: Open,
    registry: Registry,
    lock: Lock | None = None,
    settings: Sequence[str] = (),
    allow_breaches: bool = False,
) -> Compiled:
    """Compile a recipe, with its lock where there is one and values set as by `--set`.

    Breaches of its rules are faults, unless they are allowed.

    Raises:
        InputError: there is no such recipe.
        RecipeError: it has faults; all of them, each with its place.
    """
    found = validate(name, folder, open_recipe, registry, settings, allow_breaches)
    loaded, recipe, registry = found.loaded, found.recipe, found.registry
    places = source_places(recipe, registry)
    folders = {name: loaded.folder(place) for name, place in places.items()}
    plan = lower(recipe, registry, lock)
    return Compiled(loaded, recipe, plan, folders, registry, found.breaches)


def with_lock(compiled: Compiled, registry: Registry, lock: Lock) -> Compiled:
    """Return the same recipe lowered again with a lock."""
    return replace(compiled, plan=lower(compiled.recipe, registry, lock))
