"""Checks that need more than one field of a recipe, and the rules it asks to be held to."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Any

from ..plugins.kinds import Facts
from ..plugins.registry import Registry
from ..schema.errors import Diagnostic, RecipeError
from ..schema.recipe import Recipe, Step
from .load import Loaded


def check(recipe: Recipe, loaded: Loaded, registry: Registry) -> None:
    """Refuse settings that contradict one another, and breaches of the recipe's rules.

    Raises:
        RecipeError: with a diagnostic for each.
    """
    found = [*_needs_validation(recipe, loaded), *_breaches(recipe, loaded, registry)]
    found += _twice(recipe, loaded)
    found += _benchmarks(recipe, loaded)
    found += _scores(recipe, loaded, registry)
    found += _weights(recipe, loaded)
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


def _breaches(recipe: Recipe, loaded: Loaded, registry: Registry) -> list[Diagnostic]:
    facts = Facts(
        base={"use": recipe.model.base.use, **recipe.model.base.params()},
        base_license=recipe.model.license,
        data_licenses={name: data.license for name, data in sorted(recipe.data.items())},
    )
    found = []
    for index, step in enumerate(recipe.rules):
        rule: Any = registry.create("rule", step.use, step.params())
        for breach in rule.breaches(facts):
            path = breach.path or ("rules", index)
            message = f"breaks rule `{step.use}`: {breach.message}"
            found.append(loaded.diagnose(path, "rule", message, key=True))
    return found


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


def _benchmarks(recipe: Recipe, loaded: Loaded) -> list[Diagnostic]:
    """Filters name benchmarks that are there, and each that is there is named by a filter."""
    lists: dict[tuple[str | int, ...], tuple[Step, ...]] = {
        ("data", name, "filters"): data.filters for name, data in recipe.data.items()
    }
    lists["mixture", "filters"] = recipe.mixture.filters
    found, named = [], set()
    for place, steps in lists.items():
        for index, step in enumerate(steps):
            for number, name in enumerate(getattr(step, "against", ())):
                named.add(name)
                if name not in recipe.benchmarks:
                    path = (*place, index, "against", number)
                    near = get_close_matches(name, recipe.benchmarks, n=1)
                    hint = f"did you mean `{near[0]}`?" if near else "describe it in `benchmarks:`"
                    message = f"there is no benchmark `{name}`"
                    found.append(loaded.diagnose(path, "unknown-benchmark", message, hint))
    for name in sorted(recipe.benchmarks.keys() - named):
        message = f"benchmark `{name}` is used by no filter"
        hint = "name it in a filter's `against:`, or remove it"
        found.append(loaded.diagnose(("benchmarks", name), "unused", message, hint, key=True))
    return found


def _scores(recipe: Recipe, loaded: Loaded, registry: Registry) -> list[Diagnostic]:
    """A sampler that works by scores needs a scorer in its data set."""
    found = []
    for name, data in recipe.data.items():
        sampler: Any = registry.get("sampler", data.sample.use).plugin
        if sampler.uses_scores and data.score is None:
            message = f"sampler `{sampler.name}` goes by scores, and the data set has no scorer"
            hint = "add `score: {use: few-shot, ...}` beside `sample:`"
            found.append(loaded.diagnose(("data", name, "sample"), "no-scores", message, hint))
    return found


def _weights(recipe: Recipe, loaded: Loaded) -> list[Diagnostic]:
    """Weights of the mixture are for interleaving, and name every data set and nothing else."""
    weights = recipe.mixture.weights
    if weights is None:
        return []
    place = ("mixture", "weights")
    if recipe.mixture.order != "interleave":
        message = f"`weights` say how data sets interleave; the order is `{recipe.mixture.order}`"
        hint = "say `order: interleave`, or remove them; samplers decide how many rows there are"
        return [loaded.diagnose(place, "unused", message, hint, key=True)]
    found = []
    for name in sorted(weights.keys() - recipe.data.keys()):
        near = get_close_matches(name, recipe.data, n=1)
        hint = f"did you mean `{near[0]}`?" if near else f"there are {', '.join(recipe.data)}"
        message = f"there is no data set `{name}`"
        found.append(loaded.diagnose((*place, name), "unknown-data-set", message, hint, key=True))
    for name in sorted(recipe.data.keys() - weights.keys()):
        message = f"data set `{name}` has no weight"
        hint = f"add `{name}: 1`, or leave all weights out to interleave by number of rows"
        found.append(loaded.diagnose(place, "no-weight", message, hint, key=True))
    return found
