"""Checks that need more than one field of a recipe, and the rules it asks to be held to."""

from __future__ import annotations

from ..plugins.registry import Registry
from ..schema.errors import Diagnostic, RecipeError
from ..schema.recipe import Recipe
from .architectures import known_architecture
from .check_model import check_architecture
from .load import Loaded
from .rules import check_rules


def check(recipe: Recipe, loaded: Loaded, registry: Registry) -> None:
    """Refuse settings that contradict one another, and breaches of the recipe's rules.

    Raises:
        RecipeError: with a diagnostic for each.
    """
    found = [*_needs_validation(recipe, loaded), *_twice(recipe, loaded)]
    architecture = known_architecture(recipe)
    found += check_architecture(recipe, loaded, architecture)
    found += check_rules(recipe, loaded, registry, architecture)
    if found:
        raise RecipeError(found)


def _needs_validation(recipe: Recipe, loaded: Loaded) -> list[Diagnostic]:
    if recipe.mixture.validation is not None:
        return []
    needy: list[tuple[tuple[str | int, ...], str]] = []
    if recipe.evaluate:
        needy.append((("evaluate",), "evaluation is on held-out rows"))
    for word in ("metric_for_best_model", "eval_steps"):
        if word in loaded.data["train"] and getattr(recipe.train, word, None) is not None:
            needy.append((("train", word), f"`{word}` is about held-out rows"))
    return [
        loaded.diagnose(
            path,
            "no-validation",
            f"{reason}, and none are held out",
            "add `mixture: {validation: {count: N}}`",
            key=True,
        )
        for path, reason in needy
    ]


def _twice(recipe: Recipe, loaded: Loaded) -> list[Diagnostic]:
    """A list of steps merges by name, so one name stands once in a list of evaluators."""
    seen: set[str] = set()
    found = []
    for index, step in enumerate(recipe.evaluate):
        if step.use in seen:
            message = f"evaluator `{step.use}` is named twice"
            found.append(loaded.diagnose(("evaluate", index, "use"), "twice", message))
        seen.add(step.use)
    return found
