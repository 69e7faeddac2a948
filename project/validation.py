"""Validate recipes: all errors at once, each with its place, and warnings beside them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..compiler.checks.deprecations import deprecated
from ..compiler.lower import lower
from ..compiler.validate import validate
from ..plugins.registry import load_registry
from ..schema.errors import Diagnostic, InputError, RecipeError
from .bundled_recipes import open_recipe, refuse_secrets
from .missing_files import missing_files


@dataclass(frozen=True)
class Validation:
    """The errors and warnings of recipes.

    Warnings are of deprecated plugins and parameters, and of local files that are not there.
    """

    errors: tuple[Diagnostic, ...]
    warnings: tuple[Diagnostic, ...]

    @property
    def valid(self) -> bool:
        """Whether there are no errors."""
        return not self.errors


def validate_recipes(recipes: Iterable[str], settings: Sequence[str] = ()) -> Validation:
    """Validate each recipe with overrides of its values; a finding of several is listed once.

    Raises:
        RecipeError: there is a secret among the overrides.
    """
    refuse_secrets("\n".join(settings).encode(errors="replace"), "--set")
    registry = load_registry()
    errors: list[Diagnostic] = []
    warnings: list[Diagnostic] = []
    for name in recipes:
        try:
            valid = validate(name, Path.cwd(), open_recipe, registry, settings)
            warnings.extend(deprecated(valid.loaded, valid.registry))
            plan = lower(valid.recipe, valid.registry, None)
            warnings.extend(missing_files(valid.loaded, valid.recipe, plan, valid.registry))
        except RecipeError as error:
            errors.extend(error.diagnostics)
        except InputError as error:
            errors.append(Diagnostic(name, 1, 1, error.code, error.message, error.hint))
    return Validation(tuple(dict.fromkeys(errors)), tuple(dict.fromkeys(warnings)))
