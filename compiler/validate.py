"""The first half of the compiler: text -> a bound recipe without a fault."""

from __future__ import annotations

from pathlib import Path

from ..plugins.registry import Registry
from ..schema.errors import RecipeError
from ..schema.recipe import Recipe
from .bind import bind_partly
from .check import check
from .load import Loaded, Open, load_leniently


def validate(
    name: str, folder: Path, open_recipe: Open, registry: Registry
) -> tuple[Loaded, Recipe]:
    """Return a recipe as it is written, and bound.

    Raises:
        InputError: there is no such recipe.
        RecipeError: it has faults; all of them, each with its place.
    """
    loaded = load_leniently(name, folder, open_recipe)
    partial = bind_partly(loaded, registry)
    found = [*loaded.faults, *partial.faults]
    if partial.recipe is not None and not loaded.incomplete:
        found += check(partial.recipe, loaded, registry, partial.without)
    if found or partial.recipe is None:
        raise RecipeError(found)
    return loaded, partial.recipe
