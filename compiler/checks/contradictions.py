"""Find contradictory settings: counts, filters, sources."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from ...plugins import Breach
from ...plugins.registry import Registry
from ...schema.errors import Diagnostic
from ...schema.recipe import Recipe, Step
from ...schema.yaml_reader import Path
from ..instances import ask, instance
from ..load import Loaded

# ---- counts ---------------------------------------------------------------------------------


def counts(recipe: Recipe, loaded: Loaded, registry: Registry) -> list[Diagnostic]:
    """Return counts that the mixture cannot reach, where the samplers fix the number of rows.

    Filters only make it fewer, so the most that samplers give is the most that there is.
    """
    most = [
        ask(registry, "sampler", data.sample, lambda sampler: sampler.asked())
        for data in recipe.data.values()
    ]
    rows = sum(count for count in most if count is not None)
    if None in most or not rows:
        return []
    validation = recipe.mixture.validation
    held_out = validation.count if validation and validation.count else 0
    if held_out >= rows:
        message = f"{held_out:,} validation rows asked of a mixture of at most {rows:,}"
        hint = "ask for fewer, or take more rows in `sample`"
        place = ("mixture", "validation")
        return [loaded.diagnose(place, "contradiction", message, hint, key=True)]
    return _never_reached(recipe, loaded, registry, rows - held_out)


def _never_reached(
    recipe: Recipe, loaded: Loaded, registry: Registry, rows: int
) -> list[Diagnostic]:
    """Return numbers of optimizer steps that training does not reach, with a row a pack at most."""
    if recipe.train is None:
        return []
    schedule = ask(registry, "runtime", recipe.train, lambda runtime: runtime.schedule())
    if schedule is None or schedule.total_steps is not None:
        return []
    steps = math.ceil(rows / schedule.batch) * schedule.epochs
    found = []
    for word, value in schedule.counts.items():
        if value > steps:
            message = f"`{word}` is {value:,}, and training has at most {steps:,} steps"
            hint = f"{rows:,} rows, {schedule.batch} a step, {schedule.epochs} times"
            found.append(loaded.diagnose(("train", word), "contradiction", message, hint))
    return found


# ---- packing --------------------------------------------------------------------------------


def packing(recipe: Recipe, loaded: Loaded, _: Registry) -> list[Diagnostic]:
    """Return settings of packing that have no meaning together."""
    train = recipe.train
    found: list[Diagnostic] = []
    if train is None:
        return found
    if not train.sample_packing and train.packing_strategy != "bfd":
        message = f"`packing_strategy: {train.packing_strategy}` without packing"
        hint = "leave it out, or set `sample_packing: true`"
        place = ("train", "packing_strategy")
        found.append(loaded.diagnose(place, "contradiction", message, hint, key=True))
    elif train.packing_strategy == "wrapped" and train.overlong != "truncate":
        message = f"`overlong: {train.overlong}` with `packing_strategy: wrapped`"
        hint = "no sample is too long there, for all run on in the next pack: leave it out"
        place = ("train", "overlong")
        found.append(loaded.diagnose(place, "contradiction", message, hint, key=True))
    return found


def training(recipe: Recipe, loaded: Loaded, registry: Registry) -> list[Diagnostic]:
    """Return parameters of the runtime that mean nothing beside settings of the recipe."""
    if recipe.train is None:
        return []
    packing, validation = recipe.train.sample_packing, recipe.mixture.validation is not None
    breaches: list[Breach] = ask(
        registry,
        "runtime",
        recipe.train,
        lambda runtime: runtime.contradictions(packing, validation),
    )
    return [
        loaded.diagnose(("train", *one.path), "contradiction", one.message, one.hint, key=True)
        for one in breaches
        if not one.path or one.path[0] in loaded.data["train"]
    ]


# ---- filters --------------------------------------------------------------------------------


def chains(recipe: Recipe, loaded: Loaded, registry: Registry) -> list[Diagnostic]:
    """Return duplicate filters, and those that together let nothing pass."""
    found = []
    names = list(recipe.data)
    sets: dict[Path, list[tuple[Path, Step]]] = {
        ("mixture",): [(("mixture", "filters", i), s) for i, s in enumerate(recipe.mixture.filters)]
    }
    for section, group in (("data", recipe.data), ("benchmarks", recipe.benchmarks)):
        for name, data in group.items():
            place = (section, name, "filters")
            sets[section, name] = [((*place, i), step) for i, step in enumerate(data.filters)]
    for owner, chain in sets.items():
        found += _twins(chain, loaded)
        known = names if owner == ("mixture",) else [str(owner[-1])]
        found += _contradicted(chain, known, loaded, registry)
    return found


def _twins(chain: list[tuple[Path, Step]], loaded: Loaded) -> list[Diagnostic]:
    seen: set[str] = set()
    found = []
    for path, step in chain:
        text = step.model_dump_json()
        if text in seen:
            message = f"filter `{step.use}` appears twice with the same parameters"
            found.append(loaded.diagnose(path, "twice", message, "remove one of them"))
        seen.add(text)
    return found


def _contradicted(
    chain: list[tuple[Path, Step]], data_sets: list[str], loaded: Loaded, registry: Registry
) -> list[Diagnostic]:
    """Return filters that, by their own account, let nothing pass after those before them."""
    earlier: list[Any] = []
    found = []
    for path, step in chain:
        breach = ask(registry, "filter", step, lambda f: f.contradicts(tuple(earlier), data_sets))
        if breach is not None:
            place, message = (*path, *breach.path), breach.message
            found.append(loaded.diagnose(place, "contradiction", message, breach.hint))
        earlier.append(instance(registry, "filter", step))
    return found


# ---- sources ---------------------------------------------------------------------------------


def sources(recipe: Recipe, loaded: Loaded, registry: Registry) -> list[Diagnostic]:
    """Return sources of the wrong type: a data set as a base, or a model as data."""
    roles: dict[Path, tuple[str, Step]] = {}
    if recipe.model is not None:
        roles["model", "base"] = ("model", recipe.model.base)
    for section, group in (("data", recipe.data), ("benchmarks", recipe.benchmarks)):
        for name, data in group.items():
            roles[section, name, "source"] = ("dataset", data.source)
    found = []
    for place, (role, step) in roles.items():
        breach = ask(registry, "source", step, _misuse(role))
        if breach is not None:
            path, message, hint = (*place, *breach.path), breach.message, breach.hint
            found.append(loaded.diagnose(path, "contradiction", message, hint, key=True))
    return found


def _misuse(role: str) -> Callable[[Any], Breach | None]:
    return lambda source: source.misuse(role)
