"""Settings that are right one by one and cannot be meant together: counts, filters, sources."""

from __future__ import annotations

import math
from typing import Any

from ...plugins.registry import Registry
from ...schema.errors import Diagnostic
from ...schema.recipe import Recipe, Step
from ...schema.yaml_reader import Path
from ..errors.did_you_mean import nearest
from ..load import Loaded

LISTS = frozenset({"categories", "domains", "input_languages", "output_languages", "references"})
"""Columns that have several values in a row, so that two conditions on one can both hold."""


# ---- counts ---------------------------------------------------------------------------------


def counts(recipe: Recipe, loaded: Loaded, registry: Registry) -> list[Diagnostic]:
    """Return counts that the mixture cannot give, where the samplers say how many rows there are.

    Filters only make it fewer, so the most that samplers give is the most that there is.
    """
    most = [
        registry.create("sampler", data.sample.use, data.sample.params()).asked()
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
    return _never_reached(recipe, loaded, rows - held_out)


def _never_reached(recipe: Recipe, loaded: Loaded, rows: int) -> list[Diagnostic]:
    """Return numbers of optimizer steps that training has not, with a row a pack at most."""
    train: Any = recipe.train
    epochs = getattr(train, "num_epochs", None)
    if epochs is None or getattr(train, "max_steps", None) is not None:
        return []
    batch = getattr(train, "micro_batch_size", 1) * getattr(train, "gradient_accumulation_steps", 1)
    steps = math.ceil(rows / batch) * epochs
    found = []
    for word in ("warmup_steps", "eval_steps", "save_steps", "stop_after_steps"):
        value = getattr(train, word, None)
        if value is not None and value > steps:
            message = f"`{word}` is {value:,}, and training has at most {steps:,} steps"
            hint = f"{rows:,} rows, {batch} a step, {epochs} times"
            found.append(loaded.diagnose(("train", word), "contradiction", message, hint))
    return found


# ---- packing --------------------------------------------------------------------------------


def packing(recipe: Recipe, loaded: Loaded, _: Registry) -> list[Diagnostic]:
    """Return settings of packing and batches that have no meaning together."""
    train: Any = recipe.train
    found = []
    if train.sample_packing and getattr(train, "group_by_length", False):
        message = "`group_by_length` has nothing to group: packs are as good as equally long"
        hint = "add `sample_packing: false`, or leave it out"
        place = ("train", "group_by_length")
        found.append(loaded.diagnose(place, "contradiction", message, hint, key=True))
    if not train.sample_packing and train.packing_strategy != "bfd":
        message = f"`packing_strategy: {train.packing_strategy}` without packing"
        hint = "leave it out, or say `sample_packing: true`"
        place = ("train", "packing_strategy")
        found.append(loaded.diagnose(place, "contradiction", message, hint, key=True))
    elif train.packing_strategy == "wrapped" and train.overlong != "truncate":
        message = f"`overlong: {train.overlong}` with `packing_strategy: wrapped`"
        hint = "no sample is too long there, for all run on in the next pack: leave it out"
        place = ("train", "overlong")
        found.append(loaded.diagnose(place, "contradiction", message, hint, key=True))
    return found


# ---- filters --------------------------------------------------------------------------------


def chains(recipe: Recipe, loaded: Loaded, _: Registry) -> list[Diagnostic]:
    """Return filters that stand twice, and those that together let nothing pass."""
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
        found += _word_counts(chain, loaded)
        known = names if owner == ("mixture",) else [str(owner[-1])]
        found += _conditions(chain, known, loaded)
    return found


def _twins(chain: list[tuple[Path, Step]], loaded: Loaded) -> list[Diagnostic]:
    seen: set[str] = set()
    found = []
    for path, step in chain:
        text = step.model_dump_json()
        if text in seen:
            message = f"filter `{step.use}` stands here twice with the same parameters"
            found.append(loaded.diagnose(path, "twice", message, "remove one of them"))
        seen.add(text)
    return found


def _word_counts(chain: list[tuple[Path, Step]], loaded: Loaded) -> list[Diagnostic]:
    """Return `min-words` that asks for as many words as `max-words` drops, of the same fields."""
    below: dict[frozenset[str], int] = {}
    steps: list[tuple[Path, Any]] = list(chain)
    for _, step in steps:
        if step.use == "max-words":
            fields = frozenset(step.fields)
            below[fields] = min(step.below, below.get(fields, step.below))
    found = []
    for path, step in steps:
        if step.use != "min-words":
            continue
        for fields, most in below.items():
            if fields.issuperset(step.fields) and step.at_least >= most:
                message = f"no row has {step.at_least:,} words or more and fewer than {most:,}"
                hint = "`max-words` and `min-words` leave nothing"
                found.append(loaded.diagnose(path, "contradiction", message, hint))
                break
    return found


def _conditions(
    chain: list[tuple[Path, Step]], names: list[str], loaded: Loaded
) -> list[Diagnostic]:
    """Return conditions on one column that no text meets; `source` is one of `names`."""
    left: dict[str, set[str]] = {"source": set(names)}
    found = []
    for path, step in chain:
        texts = _wanted(step)
        if texts is None or getattr(step, "field", None) in LISTS:
            continue
        field, negate = step.field, step.negate  # type: ignore[attr-defined]
        unknown = sorted(texts - set(names)) if field == "source" else []
        if unknown:
            near = nearest(unknown[0], names)
            hint = f"did you mean `{near}`?" if near else f"here there is {', '.join(names)}"
            message = f"no row here comes from a data set `{unknown[0]}`"
            found.append(loaded.diagnose(path, "contradiction", message, hint))
            continue
        before = left.get(field)
        if negate:
            left |= {field: before - texts} if before is not None else {}
        else:
            left[field] = texts if before is None else before & texts
        if field in left and not left[field]:
            message = f"no row can pass: nothing is left that `{field}` may be"
            hint = "filters one after another keep what all of them keep"
            found.append(loaded.diagnose(path, "contradiction", message, hint))
            break
    return found


def _wanted(step: Any) -> set[str] | None:
    """Return the texts that a `where` filter names, or None for any other filter."""
    if step.use != "where" or getattr(step, "matches", None) is not None:
        return None
    one_of = getattr(step, "one_of", None)
    equals = getattr(step, "equals", None)
    return set(one_of) if one_of else {equals} if equals is not None else None


# ---- sources --------------------------------------------------------------------------------


def sources(recipe: Recipe, loaded: Loaded, _: Registry) -> list[Diagnostic]:
    """Return repositories that hold another thing than what is wanted of them."""
    found = []
    if getattr(recipe.model.base, "holds", None) == "dataset":
        message = "a base model comes from a model repository, and this says data set"
        hint = "leave `repo_type`, `config` and `split` out"
        found.append(loaded.diagnose(("model", "base"), "contradiction", message, hint, key=True))
    for section, group in (("data", recipe.data), ("benchmarks", recipe.benchmarks)):
        for name, data in group.items():
            source: Any = data.source
            if getattr(source, "holds", None) == "model" and source.repo_type is None:
                message = f"`{source.repo}` would be read as a model repository"
                hint = "add `repo_type: dataset`"
                path = (section, name, "source")
                found.append(loaded.diagnose(path, "contradiction", message, hint, key=True))
    return found
