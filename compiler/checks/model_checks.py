"""Check a recipe against its base: its architecture, its configuration and its tokenizer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...plugins import BaseSupport
from ...plugins.registry import Registry
from ...schema.architecture import Architecture
from ...schema.did_you_mean import did_you_mean
from ...schema.errors import Diagnostic
from ...schema.recipe import Recipe
from ..instances import ask, instance
from ..load import Loaded


def check_architecture(
    recipe: Recipe, loaded: Loaded, registry: Registry, architecture: Architecture | None
) -> list[Diagnostic]:
    """Return requests that the base cannot meet; nothing where its architecture is not known."""
    if architecture is None:
        return []
    return [
        *_modules(recipe, loaded, registry, architecture),
        *_positions(recipe, loaded, architecture.max_positions),
    ]


def base_support(
    recipe: Recipe, registry: Registry, config: Mapping[str, Any]
) -> BaseSupport | None:
    """Return how the recipe's runtime trains a base with this configuration; None: not known."""
    model, train = recipe.training()
    quantizer = instance(registry, "quantizer", model.quantization)
    found: BaseSupport | None = ask(
        registry, "runtime", train, lambda runtime: runtime.base_support(config, quantizer)
    )
    return found


def check_base_files(
    recipe: Recipe,
    loaded: Loaded,
    config: Mapping[str, Any],
    support: BaseSupport | None,
    tokens: int | None,
) -> list[Diagnostic]:
    """Return what a base's own files rule out.

    Args:
        recipe: the bound recipe.
        loaded: where its values stand.
        config: the base's `config.json`.
        support: how the runtime trains it.
        tokens: ids of its tokenizer, from 0 to the highest; None where that is not known.
    """
    place = ("model", "base")
    if support is not None and support.layout == "refused":
        message = f"the base cannot be trained: {support.reason}"
        return [loaded.diagnose(place, "base-refused", message, support.hint, key=True)]
    text = {**config, **(config.get("text_config") or {})}
    found = []
    rows = text.get("vocab_size")
    if isinstance(rows, int) and tokens is not None and tokens > rows:
        found.append(
            loaded.diagnose(
                place,
                "too-many-tokens",
                f"the tokenizer has {tokens:,} tokens, and the base's embedding {rows:,} rows",
                "tokens were added without resizing the model: take a tokenizer that fits it",
                key=True,
            )
        )
    limits = [text[name] for name in POSITIONS if isinstance(text.get(name), int)]
    return [*found, *_positions(recipe, loaded, limits[0] if limits else None)]


def _modules(
    recipe: Recipe, loaded: Loaded, registry: Registry, architecture: Architecture
) -> list[Diagnostic]:
    """Name the modules to put an adapter on that the base does not have."""
    adapter = recipe.training()[0].adapter
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


POSITIONS = ("max_position_embeddings", "n_positions", "max_seq_len", "n_ctx")
"""Names of the number of positions, in configurations."""


def _positions(recipe: Recipe, loaded: Loaded, limit: int | None) -> list[Diagnostic]:
    asked = recipe.training()[1].sequence_len
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
