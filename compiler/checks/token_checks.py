"""Check the tokens that a recipe sets: that special ones are there, and added ones are trained."""

from __future__ import annotations

from collections.abc import Collection

from ...plugins import Breach
from ...plugins.registry import Registry
from ...schema.did_you_mean import did_you_mean
from ...schema.errors import Diagnostic
from ...schema.recipe import Recipe
from ...schema.yaml_reader import Path
from ..instances import ask
from ..load import Loaded

ROLES = ("bos_token", "eos_token", "pad_token", "unk_token")
NEAR = 2000
"""Tokens of a vocabulary that begin like a wrong one, at most, to look for a similar one in."""


def added_tokens(recipe: Recipe, loaded: Loaded, registry: Registry) -> list[Diagnostic]:
    """Return what the adapter has against tokens that are added, or against none."""
    if recipe.model is None:
        return []
    adapter, tokens = recipe.model.adapter, recipe.model.tokens
    wanted = tokens.trained() if tokens is not None else ()
    breaches: list[Breach] = ask(
        registry, "adapter", adapter, lambda plugin: plugin.contradictions(bool(wanted))
    )
    found = []
    for breach in breaches:
        place: Path = ("model", "adapter", *breach.path)
        message = breach.message
        if tokens is not None and wanted and not breach.path:
            special = not set(wanted).isdisjoint(tokens.add_special)
            place = ("model", "tokens", "add_special" if special else "add")
            message += ": " + ", ".join(map(repr, wanted[:4])) + (", ..." if wanted[4:] else "")
        found.append(loaded.diagnose(place, "contradiction", message, breach.hint, key=True))
    return found


def check_vocabulary(
    recipe: Recipe, loaded: Loaded, vocabulary: Collection[str] | None
) -> list[Diagnostic]:
    """Return special tokens that are neither in the base's tokenizer nor added.

    `vocabulary` has the tokens of the tokenizer; None where they are not known.
    """
    tokens = recipe.model.tokens if recipe.model is not None else None
    if tokens is None or vocabulary is None:
        return []
    found = []
    for role in ROLES:
        text = getattr(tokens, role)
        if text is None or text in vocabulary or text in (*tokens.add, *tokens.add_special):
            continue
        similar = [known for known in vocabulary if known[:1] == text[:1] and len(known) > 2]
        hint = f"{did_you_mean(text, similar[:NEAR])}add it with `add_special`, or name one it has"
        message = f"`{text}` is not a token of the base's tokenizer"
        found.append(loaded.diagnose(("model", "tokens", role), "no-token", message, hint))
    return found


def added_count(recipe: Recipe, vocabulary: Collection[str] | None) -> int:
    """Return how many tokens the recipe adds; where the tokenizer is not known, all it lists."""
    tokens = recipe.model.tokens if recipe.model is not None else None
    listed = (*tokens.add, *tokens.add_special) if tokens is not None else ()
    return sum(vocabulary is None or text not in vocabulary for text in listed)
