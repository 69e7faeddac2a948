"""Check a recipe against its base's architecture, with positions."""

from __future__ import annotations

from ...plugins.registry import Registry
from ...schema.architecture import Architecture
from ...schema.did_you_mean import did_you_mean
from ...schema.errors import Diagnostic
from ...schema.recipe import Recipe
from ..instances import ask
from ..load import Loaded


def check_architecture(
    recipe: Recipe, loaded: Loaded, registry: Registry, architecture: Architecture | None
) -> list[Diagnostic]:
    """Return what the base cannot do; nothing where its architecture is not known."""
    if architecture is None:
        return []
    return [
        *_modules(recipe, loaded, registry, architecture),
        *_positions(recipe, loaded, architecture),
    ]


def _modules(
    recipe: Recipe, loaded: Loaded, registry: Registry, architecture: Architecture
) -> list[Diagnostic]:
    """Name the modules to put an adapter on that the base does not have."""
    adapter = recipe.model.adapter
    asked = ask(registry, "adapter", adapter, lambda plugin: plugin.named_modules())
    expressions = ask(registry, "adapter", adapter, lambda plugin: plugin.module_expressions())
    known = list(dict.fromkeys(linear.name for linear in architecture.linears))
    found = [
        loaded.diagnose(
            ("model", "adapter", *path),
            "no-module",
            f"`{text}` matches no linear module of the base ({architecture.model_type})",
            f"it is compared with whole paths, such as `{architecture.layer_path}.0."
            f"{architecture.linears[0].path}`; the base has: {', '.join(known)}",
        )
        for path, text in expressions.items()
        if not architecture.modules(text) and not architecture.reaches_head(text)
    ]
    for path, name in asked.items():
        if name == architecture.head or architecture.modules((name,)):
            continue
        suggestion = did_you_mean(name, known)
        found.append(
            loaded.diagnose(
                ("model", "adapter", *path),
                "no-module",
                f"the base ({architecture.model_type}) has no linear module named `{name}`",
                f"{suggestion}it has: {', '.join(known)}",
            )
        )
    return found


def _positions(recipe: Recipe, loaded: Loaded, architecture: Architecture) -> list[Diagnostic]:
    limit, asked = architecture.max_positions, recipe.train.sequence_len
    if limit is None or asked <= limit:
        return []
    written = "sequence_len" in loaded.data.get("train", {})
    return [
        loaded.diagnose(
            ("train", "sequence_len") if written else ("train",),
            "too-long-for-base",
            f"`sequence_len` is {asked:,}{'' if written else ' (the default)'}, and the base was "
            f"made for {limit:,} positions",
            f"at most {limit}",
            key=not written,
        )
    ]
