"""Check the chat template of a recipe, as far as small files of its base tell."""

from __future__ import annotations

from ...plugins import BaseChat, ChatSupport
from ...plugins.registry import Registry
from ...schema.errors import Diagnostic
from ...schema.recipe import Recipe
from ..instances import ask
from ..load import Loaded

PLACE = ("train", "template")


def chat_support(recipe: Recipe, registry: Registry, base: BaseChat | None) -> ChatSupport | None:
    """Return how the recipe's template writes chats over a base; None: nothing to say."""
    step = recipe.training()[1].template
    found: ChatSupport | None = ask(
        registry, "template", step, lambda template: template.chat_support(base or BaseChat())
    )
    return found


def check_chat(loaded: Loaded, support: ChatSupport | None) -> list[Diagnostic]:
    """Return what rules the template out."""
    return [
        loaded.diagnose((*PLACE, *one.path), "template-refused", one.message, one.hint, key=True)
        for one in (support.breaches if support else ())
    ]
