"""Compute the loss of trained tokens without holding the logits of all of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.nn.functional import cross_entropy, nll_loss

from .params import ROWS_AT_ONCE

CAPS = ("final_logit_softcapping", "logits_soft_cap", "output_logit_soft_cap")
"""Names of a soft cap on logits, in configurations."""

Head = Callable[[torch.Tensor], torch.Tensor]
Chunk = tuple[torch.Tensor, tuple[torch.Tensor, ...]]
"""The loss of some rows, and its gradients: of their hidden states, and of the head's weights."""


class Loss:
    """Takes the summed cross entropy of rows of last hidden states, and its gradient.

    Attributes:
        head: from last hidden states (R, d) to float32 logits (R, vocabulary). It computes the same
        as the architectures of transformers after their head: nothing, a scale (Cohere
            multiplies, Granite divides) or a soft cap (Gemma).
        trained: parameters of the head that have gradients; usually none.
    """

    def __init__(self, model: Any) -> None:
        linear, config = model.get_output_embeddings(), model.config.get_text_config()
        multiply, divide = (getattr(config, n, None) for n in ("logit_scale", "logits_scaling"))
        cap = next((c for c in (getattr(config, n, None) for n in CAPS) if c is not None), None)

        def head(hidden: torch.Tensor) -> torch.Tensor:
            logits = linear(hidden)
            if multiply is not None:
                logits = logits * multiply
            if divide is not None:
                logits = logits / divide
            if cap is not None:
                logits = torch.tanh(logits / cap) * cap
            return logits.float()

        self.head = head
        self.trained = [p for p in linear.parameters() if p.requires_grad]
        plain = type(linear) is torch.nn.Linear and linear.bias is None and not self.trained
        scaled = any(value is not None for value in (multiply, divide, cap))
        self._in_place = _InPlace(linear) if plain and not scaled else None

    def read_logits(self) -> None:
        """Take rows that are logits already."""
        self.head, self.trained, self._in_place = torch.Tensor.float, [], None

    def summed(self, hidden: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Return the sum of the cross entropies of `targets` (R,) given `hidden` (R, d).

        Where a gradient will be wanted it is calculated here, chunk by chunk, and kept instead of
        the logits.
        """
        if torch.is_grad_enabled() and (hidden.requires_grad or self.trained):
            total: torch.Tensor = _Summed.apply(hidden, targets, self, *self.trained)
            return total
        losses = [
            cross_entropy(self.head(h), t, reduction="sum") for h, t in _rows(hidden, targets)
        ]
        return _add_up(losses, hidden.device)

    def chunk(self, hidden: torch.Tensor, targets: torch.Tensor) -> Chunk:
        """Return the loss of `ROWS_AT_ONCE` rows at most, and its gradients."""
        if self._in_place is not None and len(hidden):
            return self._in_place(hidden, targets)
        with torch.enable_grad():
            leaf = hidden.detach().requires_grad_()
            loss = cross_entropy(self.head(leaf), targets, reduction="sum")
            return loss.detach(), torch.autograd.grad(loss, [leaf, *self.trained])


class _InPlace:
    """The same bits for a head that is one frozen matrix, in memory that is used again.

    Logits, their logarithms of probabilities and their gradient are each made over the one
    before. Repeated allocations of tens of megabytes fragment a CPU's heap, and each is zeroed
    before use.
    """

    def __init__(self, linear: torch.nn.Linear) -> None:
        self._linear = linear
        self._held: tuple[torch.Tensor, ...] | None = None

    def __call__(self, hidden: torch.Tensor, targets: torch.Tensor) -> Chunk:
        weight = self._linear.weight
        low, high, picked = (held[: len(hidden)] for held in self._logits(weight))
        torch.mm(hidden, weight.T, out=low)
        high.copy_(low)
        torch.log_softmax(high, 1, out=high)
        loss = nll_loss(high, targets, reduction="sum")
        place = torch.arange(len(targets), device=targets.device), targets
        picked[place] = -1
        torch.ops.aten._log_softmax_backward_data(picked, high, 1, high.dtype, out=high)
        picked[place] = 0
        low.copy_(high)
        return loss, (torch.mm(low, weight),)

    def _logits(self, weight: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Return logits in the head's type and in float32, and zeros for the loss's gradient."""
        if self._held is None:
            low = weight.new_empty(ROWS_AT_ONCE, len(weight))
            self._held = (
                low,
                torch.empty_like(low, dtype=torch.float32),
                low.new_zeros(low.shape, dtype=torch.float32),
            )
        return self._held


class _Summed(torch.autograd.Function):  # type: ignore[misc]
    @staticmethod
    def forward(
        ctx: Any, hidden: torch.Tensor, targets: torch.Tensor, loss: Loss, *trained: Any
    ) -> torch.Tensor:
        losses = []
        grad_hidden = torch.empty_like(hidden)
        grads = [torch.zeros_like(parameter) for parameter in trained]
        for (some, wanted), place in zip(
            _rows(hidden, targets), grad_hidden.split(ROWS_AT_ONCE), strict=True
        ):
            summed, found = loss.chunk(some, wanted)
            place.copy_(found[0])
            for total, part in zip(grads, found[1:], strict=True):
                total += part
            losses.append(summed)
        ctx.save_for_backward(grad_hidden, *grads)
        return _add_up(losses, hidden.device)

    @staticmethod
    def backward(ctx: Any, *outer: torch.Tensor) -> Any:
        grad_hidden, *grads = ctx.saved_tensors
        scaled = (grad_hidden * outer[0]).to(grad_hidden.dtype)
        return scaled, None, None, *(grad * outer[0] for grad in grads)


def _rows(hidden: torch.Tensor, targets: torch.Tensor) -> Any:
    return zip(hidden.split(ROWS_AT_ONCE), targets.split(ROWS_AT_ONCE), strict=True)


def _add_up(losses: list[torch.Tensor], device: torch.device) -> torch.Tensor:
    return torch.stack(losses).sum() if losses else torch.zeros((), device=device)


def not_finite(losses: Sequence[torch.Tensor]) -> list[int]:
    """Return which of some losses are not finite; all, where only their sum is not."""
    wrong = [number for number, loss in enumerate(losses) if not torch.isfinite(loss)]
    return wrong or list(range(len(losses)))
