"""The load-balancing loss of a mixture's routers, as its architecture computes it."""

from __future__ import annotations

import sys
from typing import Any

import torch

from khichdi.plugins.kinds import ContradictionError

from .forward import Forward


class RouterLoss:
    """Takes the auxiliary loss of the batch that was last run, by transformers' own function."""

    def __init__(self, causal: Any, forward: Forward) -> None:
        """Let a model give the logits of its routers.

        Raises:
            ContradictionError: it has no routers with such a loss, or its samples are padded.
        """
        module = sys.modules[type(causal).__module__]
        self._function: Any = getattr(module, "load_balancing_loss_func", None)
        config = causal.config.get_text_config()
        weight = getattr(config, "router_aux_loss_coef", None)
        if self._function is None or weight is None or forward.layout != "packed":
            raise ContradictionError(
                f"output_router_logits: {type(causal).__name__} has no routers with a loss of "
                "their own that is known here",
                hint="leave it out",
            )
        self._weight = float(weight)
        self._experts, self._chosen = causal.num_experts, causal.num_experts_per_tok
        self._forward = forward
        forward.keeps_router_logits = True

    def __call__(self) -> torch.Tensor:
        """Return the loss over all tokens of the batch, times the base's `router_aux_loss_coef`."""
        logits = self._forward.router_logits
        found: torch.Tensor = self._function(logits, self._experts, self._chosen)
        self._forward.router_logits = None
        return self._weight * found
