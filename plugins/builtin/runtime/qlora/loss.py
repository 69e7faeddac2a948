"""The loss of learnt tokens, without ever holding the logits of all of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.nn.functional import cross_entropy

ROWS_AT_ONCE = 128
"""Logits are made for so many tokens at once; part of the bits. With more, each chunk is memory
that a CPU has to map anew, which takes longer than to fill it."""

Head = Callable[[torch.Tensor], torch.Tensor]


def output_head(model: Any) -> Head:
    """Return the function from last hidden states (R, d) to float32 logits (R, vocabulary).

    It does what the architectures of transformers do after their head: nothing, a scale
    (Cohere multiplies, Granite divides) or a soft cap (Gemma).
    """
    linear, config = model.get_output_embeddings(), model.config.get_text_config()
    multiply = getattr(config, "logit_scale", None)
    divide = getattr(config, "logits_scaling", None)
    cap = getattr(config, "final_logit_softcapping", None)

    def head(hidden: torch.Tensor) -> torch.Tensor:
        logits = linear(hidden)
        if multiply is not None:
            logits = logits * multiply
        if divide is not None:
            logits = logits / divide
        if cap is not None:
            logits = torch.tanh(logits / cap) * cap
        return logits.float()

    return head


def summed_loss(
    hidden: torch.Tensor, targets: torch.Tensor, head: Head, trained: list[torch.nn.Parameter]
) -> torch.Tensor:
    """Return the sum of the cross entropies of `targets` (R,) given `hidden` (R, d).

    Where a gradient will be wanted it is calculated here, chunk by chunk, and kept instead of
    the logits.

    Args:
        hidden: last hidden states at the positions before each target.
        targets: token ids.
        head: from `output_head`.
        trained: parameters of the head that have gradients; usually none.
    """
    if torch.is_grad_enabled() and (hidden.requires_grad or trained):
        total: torch.Tensor = _Summed.apply(hidden, targets, head, *trained)
        return total
    return _add_up([_chunk(head, h, t) for h, t in _chunks(hidden, targets)], hidden.device)


class _Summed(torch.autograd.Function):  # type: ignore[misc]
    @staticmethod
    def forward(
        ctx: Any, hidden: torch.Tensor, targets: torch.Tensor, head: Head, *trained: Any
    ) -> torch.Tensor:
        losses = []
        grad_hidden = torch.empty_like(hidden)
        grads = [torch.zeros_like(parameter) for parameter in trained]
        for (some, wanted), place in zip(
            _chunks(hidden, targets), grad_hidden.split(ROWS_AT_ONCE), strict=True
        ):
            with torch.enable_grad():
                leaf = some.detach().requires_grad_()
                loss = _chunk(head, leaf, wanted)
                found = torch.autograd.grad(loss, [leaf, *trained])
            place.copy_(found[0])
            for total, part in zip(grads, found[1:], strict=True):
                total += part
            losses.append(loss.detach())
        ctx.save_for_backward(grad_hidden, *grads)
        return _add_up(losses, hidden.device)

    @staticmethod
    def backward(ctx: Any, *outer: torch.Tensor) -> Any:
        grad_hidden, *grads = ctx.saved_tensors
        scaled = (grad_hidden * outer[0]).to(grad_hidden.dtype)
        return scaled, None, None, *(grad * outer[0] for grad in grads)


def _chunks(hidden: torch.Tensor, targets: torch.Tensor) -> Any:
    return zip(hidden.split(ROWS_AT_ONCE), targets.split(ROWS_AT_ONCE), strict=True)


def _chunk(head: Head, hidden: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    return cross_entropy(head(hidden), targets, reduction="sum")


def _add_up(losses: list[torch.Tensor], device: torch.device) -> torch.Tensor:
    return torch.stack(losses).sum() if losses else torch.zeros((), device=device)


def not_finite(losses: Sequence[torch.Tensor]) -> list[int]:
    """Return which of some losses are not finite; all, where only their sum is not."""
    wrong = [number for number, loss in enumerate(losses) if not torch.isfinite(loss)]
    return wrong or list(range(len(losses)))
