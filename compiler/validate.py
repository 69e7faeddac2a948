"""Validate a recipe: text -> a bound recipe without errors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..plugins.registry import Registry
from ..schema.errors import BREACH, Diagnostic, RecipeError
from ..schema.recipe import Recipe
from .bind import bind_partly
from .checks.recipe_checks import check
from .language.overrides import with_settings
from .load import Loaded, Open, load_leniently
from .plugin_files import with_plugin_files
from .template_files import with_template_files


@dataclass(frozen=True)
class Validated:
    """A recipe without a fault: as it is written, bound, and the registry with its own plugins.

    `breaches` are of its rules, where they were allowed.
    """

    loaded: Loaded
    recipe: Recipe
    registry: Registry
    breaches: tuple[Diagnostic, ...] = ()


def validate(
    name: str,
    folder: Path,
    open_recipe: Open,
    registry: Registry,
    settings: Sequence[str] = (),
    allow_breaches: bool = False,
) -> Validated:
    """Validate a recipe; `settings` are `path=value`, as of `--set`. Its plugin files are run.

    Breaches of its rules are faults, unless they are allowed.

    Raises:
        InputError: there is no such recipe.
        RecipeError: it has faults; all of them, each with its place.
    """
    loaded = with_settings(load_leniently(name, folder, open_recipe), settings)
    loaded = with_template_files(loaded, open_recipe)
    registry = with_plugin_files(loaded, registry, open_recipe)
    partial = bind_partly(loaded, registry)
    # A value that is not YAML is read as nothing: reporting that too would be noise.
    told = {(fault.file, fault.line, fault.column) for fault in loaded.faults}
    found = [*loaded.faults]
    found += [
        fault for fault in partial.faults if (fault.file, fault.line, fault.column) not in told
    ]
    if partial.recipe is not None and not loaded.incomplete:
        found += check(partial.recipe, loaded, registry, partial.without)
    breaches = [fault for fault in found if fault.code == BREACH] if allow_breaches else []
    if len(found) > len(breaches) or partial.recipe is None:
        raise RecipeError(found)
    return Validated(loaded, partial.recipe, registry, tuple(breaches))
