"""Choose which layers keep their activations and which recompute them.

Recomputing is the same calculation again, dropout included, so which layers do it moves no bits.
The last layers are those that keep: the backward pass comes to them first, and they are done when
the others need room.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.autograd.graph import save_on_cpu, saved_tensors_hooks
from torch.utils._pytree import tree_iter
from torch.utils.checkpoint import checkpoint


class Recomputation:
    """The choice, made for every batch.

    The memory of a layer is not guessed: the first batch calculates one layer twice and counts.

    Attributes:
        kept: most layers that kept their activations in any batch so far.
        layer_bytes: activations that one layer keeps of the measured batch, beside its input.
    """

    def __init__(self, model: Any, budget: int, offload: bool) -> None:
        """Take over the layers of a transformers model.

        Args:
            model: the causal language model.
            budget: bytes that activations of layers may take.
            offload: hold the inputs of layers that recompute in the CPU's memory; only what is
                left on the device then is that of a layer or two.
        """
        from transformers.modeling_layers import GradientCheckpointingLayer

        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        self.kept = self.layer_bytes = 0
        self._budget = budget
        self._counted: tuple[int, ...] = ()  # lengths of the samples that were counted
        self._lengths: tuple[int, ...] = ()
        self._layers = [m for m in model.modules() if isinstance(m, GradientCheckpointingLayer)]
        if offload:
            for layer in self._layers:
                layer._gradient_checkpointing_func = _offloading
        if self._layers and budget:
            # Not the first: what it does before its first trained module has no gradient.
            middle = self._layers[len(self._layers) // 2]
            middle.register_forward_pre_hook(self._count, with_kwargs=True)

    def choose(self, lengths: Sequence[int]) -> None:
        """Set every layer for a batch of samples of these lengths."""
        self._lengths = tuple(lengths)
        self._set(self._fitting())

    def measured(self) -> dict[str, float]:
        """Return its figures for a record."""
        return {
            "layers": float(len(self._layers)),
            "stored_layers": float(self.kept),
            "layer_activation_bytes": float(self.layer_bytes),
        }

    def _fitting(self) -> int:
        """Return how many layers keep their activations.

        A layer keeps so much for each token, and so much for each pair of tokens of a sample where
        scores are written out; so its activations grow by no more than the larger of both.
        """
        if not self.layer_bytes:
            return 0
        larger = max(
            sum(self._lengths) / sum(self._counted),
            sum(n * n for n in self._lengths) / sum(n * n for n in self._counted),
        )
        return min(len(self._layers), int(self._budget / (self.layer_bytes * larger)))

    def _set(self, kept: int) -> None:
        for number, layer in enumerate(self._layers):
            layer.gradient_checkpointing = number < len(self._layers) - kept
        self.kept = max(self.kept, kept)

    def _count(self, layer: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Run a layer once and measure its activations; nothing of it stays."""
        if self.layer_bytes or not (layer.training and torch.is_grad_enabled()):
            return
        given = [*layer.parameters(), *layer.buffers(), *tree_iter((args, kwargs))]
        known = {t.untyped_storage()._cdata for t in given if isinstance(t, torch.Tensor)}
        found: dict[int, torch.UntypedStorage] = {}

        def note(tensor: torch.Tensor) -> None:
            storage = tensor.untyped_storage()
            if storage._cdata not in known:
                found[storage._cdata] = storage

        on = [torch.cuda.current_device()] if torch.cuda.is_initialized() else []
        layer.gradient_checkpointing = False
        with torch.random.fork_rng(devices=on), saved_tensors_hooks(note, _never):
            layer.forward(*args, **kwargs)
        self.layer_bytes = sum(storage.nbytes() for storage in found.values())
        self._counted = self._lengths
        self._set(self._fitting())


def _never(_: Any) -> torch.Tensor:
    raise AssertionError("what was only counted is not asked for")


def _offloading(function: Callable[..., Any], *args: Any) -> Any:
    """Checkpoint with the inputs in pinned memory of the CPU until the backward pass asks."""
    with save_on_cpu(pin_memory=torch.cuda.is_available()):
        return checkpoint(function, *args, use_reentrant=False)
