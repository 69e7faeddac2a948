"""Check a recipe across fields."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any

from ...plugins.registry import Registry
from ...schema.did_you_mean import nearest
from ...schema.errors import Diagnostic
from ...schema.recipe import Recipe, Step
from ...schema.yaml_reader import Path
from ..instances import base_title
from ..load import Loaded
from .contradictions import chains, counts, packing, sources, training
from .token_checks import added_tokens

if TYPE_CHECKING:
    from ...schema.architecture import Architecture
    from ..estimate.estimator import Known


def check(
    recipe: Recipe, loaded: Loaded, registry: Registry, without: Collection[Path] = ()
) -> list[Diagnostic]:
    """Return settings that contradict one another, and breaches of the recipe's rules.

    `without` are paths of values that are wrong in themselves and not in the recipe: what looks
    at them is not checked.
    """
    touched = {path[0] for path in without}
    found: list[Diagnostic] = []
    for looks_at, function in CHECKS:
        if touched.isdisjoint(looks_at):
            found += function(recipe, loaded, registry)
    return found


def check_base(
    recipe: Recipe,
    loaded: Loaded,
    registry: Registry,
    architecture: Architecture | None,
    known: Known | None = None,
) -> list[Diagnostic]:
    """Return requests that the base cannot meet, and breaches of rules, as far as known."""
    from .model_checks import check_architecture

    found = check_architecture(recipe, loaded, registry, architecture)
    if recipe.rules:
        from ..estimate.estimator import NOTHING
        from .rules import check_rules

        found += check_rules(recipe, loaded, registry, architecture, known or NOTHING)
    return found


def _whole(recipe: Recipe, loaded: Loaded, _: Registry) -> list[Diagnostic]:
    """A recipe has a model and its training, or neither and nothing that needs them."""
    if recipe.model is not None and recipe.train is not None:
        return []
    pairs = (("model", recipe.model, "train"), ("train", recipe.train, "model"))
    found = []
    for key, value, other in pairs:
        if value is not None:
            message = f"there is a section `{key}`, and none `{other}`"
            hint = f"add `{other}:`, or remove `{key}:` for a recipe that ends with its data"
            found.append(loaded.diagnose((key,), "incomplete", message, hint, key=True))
    for key, steps in (("evaluate", recipe.evaluate), ("export", recipe.export)):
        if steps and recipe.data_only:
            message = f"`{key}` needs a trained model, and the recipe ends with its data"
            hint = f"add `model:` and `train:`, or remove `{key}:`"
            found.append(loaded.diagnose((key,), "incomplete", message, hint, key=True))
    return found


def _without_base(recipe: Recipe, loaded: Loaded, registry: Registry) -> list[Diagnostic]:
    """Filters that count tokens and scorers that ask a model need the recipe's base."""
    if recipe.model is not None:
        return []
    places: list[tuple[Path, str, Step]] = [
        (("mixture", "filters", i), "filter", step) for i, step in enumerate(recipe.mixture.filters)
    ]
    for section, group in (("data", recipe.data), ("benchmarks", recipe.benchmarks)):
        for name, data in group.items():
            filters = enumerate(data.filters)
            places += [((section, name, "filters", i), "filter", step) for i, step in filters]
            score = getattr(data, "score", None)
            places += [((section, name, "score"), "scorer", score)] if score is not None else []
    found = []
    for place, kind, step in places:
        plugin: Any = registry.get(kind, step.use).plugin
        needs = plugin.uses_tokenizer if kind == "filter" else plugin.uses_model
        if needs:
            what = "tokenizer of the base" if kind == "filter" else "base"
            message = f"{kind} `{step.use}` reads the {what}, and the recipe has no `model`"
            hint = "add `model:` and `train:`; `recipe run FILE --until mixture` ends before them"
            found.append(loaded.diagnose(place, "no-model", message, hint))
    return found


def _known_base(recipe: Recipe, loaded: Loaded, registry: Registry) -> list[Diagnostic]:
    if recipe.model is None or recipe.train is None:
        return check_base(recipe, loaded, registry, None) if recipe.data_only else []
    if not recipe.rules and base_title(registry, recipe.model.base) is None:
        return []
    # Not every recipe needs what this brings, and a check is to be fast.
    from ..estimate.architectures import known_architecture

    return check_base(recipe, loaded, registry, known_architecture(recipe, registry))


def _needs_validation(recipe: Recipe, loaded: Loaded, registry: Registry) -> list[Diagnostic]:
    plugins: list[Any] = [registry.get("evaluator", step.use).plugin for step in recipe.evaluate]
    if recipe.mixture.validation is not None or not any(one.uses_rows for one in plugins):
        return []
    message = "evaluation needs a validation set, and there is none"
    hint = "add `mixture: {validation: {count: N}}`"
    return [loaded.diagnose(("evaluate",), "no-validation", message, hint, key=True)]


def _twice(recipe: Recipe, loaded: Loaded, _: Registry) -> list[Diagnostic]:
    """A list of steps merges by name, so a name occurs once in it."""
    lists = {"evaluate": ("evaluator", recipe.evaluate), "export": ("exporter", recipe.export)}
    found = []
    for key, (kind, steps) in lists.items():
        seen: set[str] = set()
        for index, step in enumerate(steps):
            if step.use in seen:
                message = f"{kind} `{step.use}` is named twice"
                found.append(loaded.diagnose((key, index, "use"), "twice", message))
            seen.add(step.use)
    return found


def _benchmarks(recipe: Recipe, loaded: Loaded, _: Registry) -> list[Diagnostic]:
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
                    near = nearest(name, recipe.benchmarks)
                    hint = f"did you mean `{near}`?" if near else "describe it in `benchmarks:`"
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
            known = " or ".join(registry.names("scorer")) or "none is installed"
            hint = f"add `score: {{use: ..., ...}}` beside `sample:` ({known})"
            found.append(loaded.diagnose(("data", name, "sample"), "no-scores", message, hint))
    return found


def _weights(recipe: Recipe, loaded: Loaded, _: Registry) -> list[Diagnostic]:
    """Weights of the mixture are for interleaving, and name every data set and nothing else."""
    weights = recipe.mixture.weights
    if weights is None:
        return []
    place = ("mixture", "weights")
    if recipe.mixture.order != "interleave":
        message = (
            f"`weights` apply only to `order: interleave`; the order is `{recipe.mixture.order}`"
        )
        hint = "set `order: interleave`, or remove them; samplers decide how many rows there are"
        return [loaded.diagnose(place, "unused", message, hint, key=True)]
    found = []
    for name in sorted(weights.keys() - recipe.data.keys()):
        near = nearest(name, recipe.data)
        hint = f"did you mean `{near}`?" if near else f"there are {', '.join(recipe.data)}"
        message = f"there is no data set `{name}`"
        found.append(loaded.diagnose((*place, name), "unknown-data-set", message, hint, key=True))
    for name in sorted(recipe.data.keys() - weights.keys()):
        message = f"data set `{name}` has no weight"
        hint = f"add `{name}: 1`, or leave all weights out to interleave by number of rows"
        found.append(loaded.diagnose(place, "no-weight", message, hint, key=True))
    return found


CHECKS: list[tuple[set[str], Callable[[Recipe, Loaded, Registry], list[Diagnostic]]]] = [
    ({"model", "train"}, _whole),
    ({"model", "train", "data", "benchmarks", "mixture"}, _without_base),
    ({"mixture", "evaluate", "train"}, _needs_validation),
    ({"model", "data", "mixture", "train", "rules"}, _known_base),
    ({"evaluate", "export"}, _twice),
    ({"data", "mixture", "benchmarks"}, _benchmarks),
    ({"data"}, _scores),
    ({"data", "mixture"}, _weights),
    ({"data", "mixture", "train"}, counts),
    ({"train"}, packing),
    ({"mixture", "train"}, training),
    ({"model"}, added_tokens),
    ({"data", "mixture", "benchmarks"}, chains),
    ({"model", "data", "benchmarks"}, sources),
]
"""Every check, with the sections that it looks at."""
