"""Optimizers, learning-rate schedule, gradient clipping, and optimizer state as tensors."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import torch

from . import low_bit_adamw

if TYPE_CHECKING:
    from .params import QloraParams

BLOCK = 4096
"""Elements of a gradient whose squares are summed by one thread: a norm must not depend on how
many threads there are."""


def make_optimizer(
    params: QloraParams, names: Sequence[str], trained: Sequence[torch.nn.Parameter]
) -> Any:
    """Return the optimizer of this name over the trained parameters.

    A group's `factor` multiplies the learning rate of its step.
    """
    groups = _groups(params, names, trained)
    common: dict[str, Any] = {
        "lr": params.learning_rate,
        "betas": (params.adam_beta1, params.adam_beta2),
        "eps": params.adam_epsilon,
        "weight_decay": params.weight_decay,
    }
    if params.optimizer == "adamw_torch":
        return torch.optim.AdamW(groups, foreach=True, **common)
    if params.optimizer in low_bit_adamw.BITS:
        return low_bit_adamw.low_bit_adamw(low_bit_adamw.BITS[params.optimizer], groups, **common)
    from bitsandbytes.optim import AdamW

    # Pages are GPU memory that can move to the host: on a CPU there is nothing to page.
    paged = params.optimizer.startswith("paged") and trained[0].is_cuda
    bits = 32 if params.optimizer.endswith("32bit") else 8
    return AdamW(groups, optim_bits=bits, is_paged=paged, **common)


def _groups(
    params: QloraParams, names: Sequence[str], trained: Sequence[torch.nn.Parameter]
) -> list[Any]:
    """Return the parameters; with LoRA+ in two groups, as peft has it: B has a rate of its own."""
    if params.loraplus_lr_ratio is None:
        return list(trained)
    pairs = list(zip(names, trained, strict=True))
    fast = [p for name, p in pairs if "lora_B" in name or p.ndim == 1]
    slow = [p for name, p in pairs if not ("lora_B" in name or p.ndim == 1)]
    return [{"params": slow}, {"params": fast, "factor": params.loraplus_lr_ratio}]


def learning_rates(params: QloraParams, total: int) -> Callable[[int], float]:
    """Return the learning rate of each optimizer step, counted from 1."""
    from transformers import get_scheduler

    name = "constant_with_warmup" if params.lr_scheduler == "constant" else params.lr_scheduler
    idle = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=params.learning_rate)
    warmup = params.warmup_steps
    if params.warmup_ratio is not None:
        warmup = math.ceil(params.warmup_ratio * total)
    scheduler: Any = get_scheduler(
        name, idle, warmup, total, scheduler_specific_kwargs=params.lr_scheduler_kwargs
    )
    factor = scheduler.lr_lambdas[0]
    return lambda step: params.learning_rate * factor(step - 1)


def clip(trained: Sequence[torch.nn.Parameter], limit: float) -> float:
    """Scale gradients down to a norm of at most `limit` (0: never), and return the norm before."""
    norms = torch.stack([_norm(p.grad) for p in trained if p.grad is not None])
    norm = float(torch.linalg.vector_norm(norms.double()))
    if 0 < limit < norm:
        for parameter in trained:
            if parameter.grad is not None:
                parameter.grad.mul_(limit / (norm + 1e-6))
    return norm


def _norm(grad: torch.Tensor) -> torch.Tensor:
    flat = grad.reshape(-1)
    whole = len(flat) // BLOCK * BLOCK
    norms = torch.linalg.vector_norm(flat[:whole].view(-1, BLOCK), dim=1)
    rest = torch.linalg.vector_norm(flat[whole:])
    return torch.linalg.vector_norm(torch.cat([norms, rest[None]]))


# ---- state ----------------------------------------------------------------------------------


def state_of(
    optimizer: Any, names: Sequence[str], trained: Sequence[torch.nn.Parameter]
) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Return the optimizer's state as tensors by `<parameter>|<key>`, and the plain numbers."""
    tensors: dict[str, torch.Tensor] = {}
    numbers: dict[str, Any] = {}
    for name, parameter in zip(names, trained, strict=True):
        for key, value in optimizer.state[parameter].items():
            if isinstance(value, torch.Tensor):
                # A copy: some tensors are shared between parameters, and pages are special.
                for part, tensor in low_bit_adamw.plain_tensors(key, value):
                    tensors[f"{name}|{part}"] = tensor.detach().to("cpu", copy=True)
            else:
                numbers[f"{name}|{key}"] = value
    return tensors, numbers


def restore_state(
    optimizer: Any,
    names: Sequence[str],
    trained: Sequence[torch.nn.Parameter],
    tensors: dict[str, torch.Tensor],
    numbers: dict[str, Any],
) -> None:
    """Put back what `state_of` gave."""
    by_name: dict[str, dict[str, Any]] = {name: {} for name in names}
    for full, value in [*tensors.items(), *numbers.items()]:
        name, _, key = full.rpartition("|")
        by_name[name][key] = value
    for name, parameter in zip(names, trained, strict=True):
        state = by_name[name]
        if hasattr(optimizer, "new_state"):
            if state:
                low_bit_adamw.restore(optimizer, parameter, state)
            continue
        for key, value in state.items():
            if isinstance(value, torch.Tensor):
                state[key] = _place(optimizer, parameter, key, value)
        optimizer.state[parameter] = state


def _place(optimizer: Any, parameter: Any, key: str, value: torch.Tensor) -> torch.Tensor:
    """Return a copy where the optimizer would have it."""
    if getattr(optimizer, "is_paged", False) and key in ("state1", "state2"):
        buffer: torch.Tensor = optimizer.get_state_buffer(parameter, dtype=value.dtype)
        return buffer.copy_(value)
    # torch keeps its step counter on the CPU.
    return value.clone() if key == "step" else value.to(parameter.device, copy=True)
