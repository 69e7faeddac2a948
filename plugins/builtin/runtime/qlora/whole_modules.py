"""Embeddings, heads and other modules that are trained themselves, in full or row by row."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch.func import functional_call

from khichdi.plugins.kinds import ContradictionError
from khichdi.plugins.toolkit.token_changes import tokens_to_train


def check_added_tokens(model: Any, base: Path) -> None:
    """Refuse added tokens whose rows stay as they begin, all alike.

    Args:
        model: the peft model.
        base: the base's folder, which says what was added.

    Raises:
        ContradictionError: names the tokens and the module.
    """
    added = tokens_to_train(base)
    causal = model.get_base_model()
    ends = [causal.get_input_embeddings(), causal.get_output_embeddings()]
    for end in ends if added else ():
        lacking = [text for text, number in added.items() if not _trains(end, number, causal)]
        if lacking:
            raise ContradictionError(
                f"tokens were added whose rows are not trained in {_name(model, end)}: "
                f"{', '.join(map(repr, lacking[:6]))}",
                hint="write `trainable_token_indices: added` in `model.adapter`, or train both "
                "tables in full with `modules_to_save`",
            )


def _trains(end: Any, token: int, causal: Any) -> bool:
    """Return whether a token's row of the embedding or the head has a gradient."""
    from peft.utils import ModulesToSaveWrapper, TrainableTokensWrapper

    if isinstance(end, ModulesToSaveWrapper):
        return True
    if isinstance(end, TrainableTokensWrapper):
        return any(token in ids for ids in end.token_adapter.token_indices.values())
    # A tied head is the embedding: peft ties its wrapper where it knows that it is one.
    return end is None


def _name(model: Any, module: Any) -> str:
    paths = (name for name, found in model.named_modules() if found is module)
    return next(paths, "the model").rpartition(".")[2]


def hold_in_float32(model: Any) -> None:
    """Give the copies that peft trains float32 weights, which small steps do not round away.

    What a copy computes is what it will compute once it is loaded in the base's type.
    """
    from peft.utils import ModulesToSaveWrapper

    for wrapper in model.modules():
        if isinstance(wrapper, ModulesToSaveWrapper):
            for module in wrapper.modules_to_save.values():
                kind = next(module.parameters()).dtype
                if kind != torch.float32:
                    module.float()
                    module.forward = _computing_in(module, kind)


def _computing_in(module: torch.nn.Module, kind: torch.dtype) -> Callable[..., Any]:
    def forward(*args: Any, **given: Any) -> Any:
        own = dict(module.named_parameters())
        if all(parameter.dtype == kind for parameter in own.values()):
            return type(module).forward(module, *args, **given)
        low = {name: parameter.to(kind) for name, parameter in own.items()}
        return functional_call(module, low, args, given)

    return forward
