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
from .until import ending_with, last_step
from .validate import validate


@dataclass(frozen=True)
class Compiled:
    """A recipe on its way through the compiler.

    `folders` has, for each source step, the folder of the file that wrote it: relative paths
    start there. `registry` has the installed plugins and those of the recipe's plugin files.
    `breaches` are of the recipe's rules, where they were allowed. `until` is the step that the plan
    ends with, where that is not the recipe's last one.
    """

    loaded: Loaded
    recipe: Recipe
    plan: Plan
    folders: dict[str, Path]
    registry: Registry
    breaches: tuple[Diagnostic, ...] = ()
    until: str | None = None


def compile_recipe(
    name: str,
    folder: Path,
    open_recipe: Open,
    registry: Registry,
    lock: Lock | None = None,
    settings: Sequence[str] = (),
    allow_breaches: bool = False,
    until: str | None = None,
) -> Compiled:
    """Compile a recipe, with its lock where there is one and values set as by `--set`.

    Breaches of its rules are faults, unless they are allowed. `until` names the step or section
    that the plan is to end with.

    Raises:
        InputError: there is no such recipe, or no such step to end with.
        RecipeError: it has faults; all of them, each with its place.
    """
    found = validate(name, folder, open_recipe, registry, settings, allow_breaches)
    loaded, recipe, registry = found.loaded, found.recipe, found.registry
    places = source_places(recipe, registry)
    folders = {name: loaded.folder(place) for name, place in places.items()}
    plan = lower(recipe, registry, lock)
    last = None if until is None else last_step(plan, until)
    plan = plan if last is None else ending_with(plan, last)
    return Compiled(loaded, recipe, plan, folders, registry, found.breaches, last)


def with_lock(compiled: Compiled, registry: Registry, lock: Lock) -> Compiled:
    """Return the same recipe lowered again with a lock."""
    plan = lower(compiled.recipe, registry, lock)
    return replace(
        compiled, plan=plan if compiled.until is None else ending_with(plan, compiled.until)
    )
