"""Try a loaded model on two short samples before it is trained.

An architecture can carry something from token to token beside attention, or do more after its head
than is known here. Both would train, and train something else.
"""

from __future__ import annotations

from typing import Any, Protocol

import torch

from khichdi.schema.errors import StepError

from .batches import MicroBatch, micro_batch
from .forward import Forward
from .loss import Loss

SAMPLES = ([1, 2, 3], [4, 5, 6, 7])
OTHER = ([8, 3, 9], [4, 5, 6, 7])
FIRST = len(SAMPLES[0])


class Trainee(Protocol):
    """What is tried: a loaded model with its adapter, and how it is run."""

    peft: Any
    causal: Any
    device: torch.device
    forward: Forward
    loss: Loss

    def hidden(self, batch: MicroBatch) -> torch.Tensor:
        """Return what the loss reads of a batch."""


def check_model(trainee: Trainee) -> None:
    """Raise `StepError` where samples see one another; set whether the loss reads logits."""
    trainee.peft.eval()
    trainee.forward.whole = not _head_is_known(trainee)
    if trainee.forward.whole:
        trainee.loss.read_logits()
    with torch.no_grad():
        one, other = (_hidden(trainee, samples) for samples in (SAMPLES, OTHER))
    if torch.equal(one[FIRST:], other[FIRST:]) or not _depends(trainee):
        return
    raise StepError(
        f"samples of a batch see one another in {type(trainee.causal).__name__}",
        hint="this architecture cannot be trained on packs yet",
    )


def _hidden(trainee: Trainee, samples: tuple[list[int], ...]) -> torch.Tensor:
    batch = micro_batch(samples, [[-100] * len(sample) for sample in samples])
    return trainee.hidden(batch.to(trainee.device))


def _depends(trainee: Trainee) -> bool:
    """Return whether the second sample's states have a gradient in the first one's embeddings.

    Other bits alone do not show it: a mixture of experts multiplies the tokens of all samples at
    once, and rounds by how many there are. Rounding has no gradient.
    """
    embedded: list[torch.Tensor] = []

    def keep(module: object, inputs: object, output: torch.Tensor) -> torch.Tensor:
        embedded.append(output.detach().requires_grad_())
        return embedded[-1]

    hook = trainee.causal.get_input_embeddings().register_forward_hook(keep)
    try:
        with torch.enable_grad():
            second = _hidden(trainee, SAMPLES)[FIRST:]
            weights = torch.linspace(1, 2, second.numel(), device=second.device)
            total = (second.float().flatten() * weights).sum()
            grads = torch.autograd.grad(total, embedded, allow_unused=True)
    finally:
        hook.remove()
    return any(bool(_of_first(trainee, grad).any()) for grad in grads if grad is not None)


def _of_first(trainee: Trainee, grad: torch.Tensor) -> torch.Tensor:
    """Return the part of the embeddings' gradient that is the first sample's."""
    if trainee.forward.layout == "packed":
        return grad[0, :FIRST]
    # The longer sample is the first row, and rows of one length stay in order.
    return grad[1:] if len(grad) > 1 else grad[:0]


def _head_is_known(trainee: Trainee) -> bool:
    """Return whether the logits are what `Loss` makes of the last hidden states."""
    forward = trainee.forward
    with torch.no_grad():
        try:
            made = trainee.loss.head(_hidden(trainee, SAMPLES))
        except (AttributeError, RuntimeError, TypeError):  # states elsewhere, or of another width
            return False
        forward.whole = True
        full = _hidden(trainee, SAMPLES).float()
        forward.whole = False
    if made.shape != full.shape:
        return False
    error = (made - full).norm(dim=-1) / full.norm(dim=-1).clamp_min(1e-12)
    # The same products twice, so that only what follows them can differ; experts may round.
    return bool(error.median() < (1e-4 if trainee.causal.dtype == torch.float32 else 1e-2))
