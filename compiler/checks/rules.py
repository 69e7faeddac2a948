"""Check the rules that a recipe names."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from ...plugins.kinds import Breach, Facts
from ...plugins.registry import Registry
from ...plugins.result_checks import check_breaches
from ...plugins.side_effects import watched
from ...schema.architecture import Architecture
from ...schema.errors import BREACH, Diagnostic
from ...schema.estimate import Estimate
from ...schema.recipe import Recipe
from ..estimate.architectures import TABLE
from ..estimate.devices import device_named
from ..estimate.estimator import NOTHING, Known, estimate
from ..instances import ask, base_title, failure
from ..load import Loaded

TUNED = re.compile(r"(?i)(^|[-_.])(instruct|chat|it|sft|dpo|rlhf)([-_.]|$)")
"""Words in the names of instruction-tuned models."""


def check_rules(
    recipe: Recipe,
    loaded: Loaded,
    registry: Registry,
    architecture: Architecture | None,
    known: Known = NOTHING,
) -> list[Diagnostic]:
    """Return a diagnostic for each breach that refuses the recipe."""
    return [
        loaded.diagnose(
            breach.path or ("rules", index),
            BREACH,
            f"breaks rule `{recipe.rules[index].use}`: {breach.message}",
            breach.hint,
            key=True,
        )
        for index, breach in _breaches(recipe, registry, architecture, known)
        if breach.severity == "error"
    ]


def rule_warnings(
    recipe: Recipe,
    registry: Registry,
    architecture: Architecture | None,
    known: Known = NOTHING,
) -> dict[str, list[Breach]]:
    """Return the warnings of rules; every rule of the recipe is there."""
    found: dict[str, list[Breach]] = {step.use: [] for step in recipe.rules}
    for index, breach in _breaches(recipe, registry, architecture, known):
        if breach.severity == "warning":
            found[recipe.rules[index].use].append(breach)
    return found


def _breaches(
    recipe: Recipe, registry: Registry, architecture: Architecture | None, known: Known
) -> Iterator[tuple[int, Breach]]:
    def of_device(name: str) -> Estimate:
        return estimate(recipe, registry, architecture, device_named(name), known)

    for index, step in enumerate(recipe.rules):
        facts = _facts(recipe, registry, of_device)
        yield from (
            (index, breach)
            for breach in ask(registry, "rule", step, lambda rule: _watched(rule, facts))  # noqa: B023
        )
        if facts != _facts(recipe, registry, of_device):
            raise failure(registry, "rule", step.use, "changed its input")


def _watched(rule: Any, facts: Facts) -> list[Breach]:
    """Return the breaches that a rule finds; refuse side effects and other results."""
    with watched():
        found: list[Breach] = rule.breaches(facts)
    check_breaches(found)
    return found


def _facts(recipe: Recipe, registry: Registry, of_device: Callable[[str], Estimate]) -> Facts:
    data = dict(sorted(recipe.data.items()))
    model = recipe.model
    return Facts(
        base={"use": model.base.use, **model.base.params()} if model else {},
        base_license=model.license if model else None,
        data_licenses={name: item.license for name, item in data.items()},
        data_sources={
            name: {"use": item.source.use, **item.source.params()} for name, item in data.items()
        },
        instruction_tuned=_instruction_tuned(base_title(registry, model.base) if model else None),
        estimate=of_device,
    )


def _instruction_tuned(name: str | None) -> bool | None:
    if name is None:
        return None
    if TUNED.search(name.rpartition("/")[2]):
        return True
    return False if name in TABLE else None
