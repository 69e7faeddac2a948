"""Hold modules that are trained in full (`modules_to_save`) in float32, and compute as the base."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.func import functional_call


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
