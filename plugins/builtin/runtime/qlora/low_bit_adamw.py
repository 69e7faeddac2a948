"""torchao's AdamW with moments in 8 and 4 bits, and its state as plain tensors."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

import torch

from khichdi.schema.errors import StepError

BITS = {"adamw_torch_8bit": 8, "adamw_torch_4bit": 4}
"""Optimizers by their name in transformers."""
PARTS = ("codes", "scale")
"""Tensors of a moment that is stored in few bits; its table is always the same."""


def check_torchao(optimizer: str) -> None:
    """Refuse an optimizer of torchao's before anything is loaded, where torchao is missing.

    Raises:
        StepError: torchao is not installed.
    """
    if optimizer in BITS and find_spec("torchao") is None:
        raise StepError(
            f"the optimizer `{optimizer}` needs the package torchao",
            hint="install it with `pip install 'khichdi[torchao]'`, or choose `adamw_8bit`",
        )


def low_bit_adamw(bits: int, groups: Any, **common: Any) -> Any:
    """Return torchao's optimizer, whose step is not compiled.

    The arithmetic is torchao's own function. Compiled, as torchao has it, the first step takes
    half a minute and a C++ compiler, and rounds by what the compiler made of it.
    """
    with _silent():
        from torchao.optim import AdamW4bit, AdamW8bit
        from torchao.optim.adam import single_param_adam
    base: Any = AdamW8bit if bits == 8 else AdamW4bit

    class Eager(base):  # type: ignore[misc]
        @torch.no_grad()  # type: ignore[untyped-decorator]
        def step(self, closure: Any = None) -> None:
            for group in self.param_groups:
                rate, (beta1, beta2) = torch.tensor(float(group["lr"])), group["betas"]
                for p in group["params"]:
                    if p.grad is None:
                        continue
                    state = self.new_state(p)
                    state["step"] += 1
                    moments = state["exp_avg"], state["exp_avg_sq"], None
                    single_param_adam(p.detach(), p.grad, state["step"], *moments,
                                      rate, beta1, beta2, group["weight_decay"], group["eps"],
                                      True, False)  # fmt: skip

        def new_state(self, p: torch.Tensor) -> Any:
            """Return a parameter's state, of zeros before its first step."""
            state = self.state[p]
            if not state:
                state["step"] = torch.tensor(0.0)
                state["exp_avg"] = self._new_buffer(p, True)
                state["exp_avg_sq"] = self._new_buffer(p, False)
            return state

    return Eager(groups, **common)


def plain_tensors(key: str, value: torch.Tensor) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield an entry of an optimizer's state as tensors that can be written to a file."""
    if hasattr(value, "__tensor_flatten__"):
        for part in PARTS:
            yield f"{key}.{part}", getattr(value, part)
    else:
        yield key, value


def restore(optimizer: Any, parameter: torch.Tensor, state: dict[str, Any]) -> None:
    """Put back what `plain_tensors` gave of the state of one parameter."""
    own = optimizer.new_state(parameter)
    for full, value in state.items():
        key, _, part = full.partition(".")
        target = getattr(own[key], part) if part else own[key]
        target.copy_(value)


@contextmanager
def _silent() -> Iterator[None]:
    """Keep torchao's report on kernels that it cannot load off the screen."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
