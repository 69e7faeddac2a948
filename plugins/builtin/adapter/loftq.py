"""LoftQ: initialize a low-rank adapter as the best correction of the quantization error.

The base stays as it is quantized, so a step of LoftQ's alternation is made: of all updates of the
rank, that which is nearest to the difference. peft's own function needs a GPU and leaves out the
scale that the update is multiplied by.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from khichdi.plugins.toolkit.base_weights import BaseFiles
from khichdi.plugins.toolkit.frozen_linear import BaseWeight
from khichdi.schema.errors import StepError


def start_from_loss(model: Any, base: Path) -> None:
    """Set A and B of every LoRA module of a peft model.

    Raises:
        StepError: the base is not quantized, or its files lack a weight.
    """
    from peft.tuners.lora import LoraLayer

    causal = model.get_base_model()
    files = BaseFiles(base, causal)
    for name, layer in causal.named_modules():
        if not isinstance(layer, LoraLayer):
            continue
        linear: Any = layer.get_base_layer()
        if not any(hasattr(linear.weight, mark) for mark in ("quant_state", "SCB")):
            raise StepError(
                f"init_lora_weights: loftq, but {name} is not quantized: nothing was lost",
                hint="name a quantizer, or leave init_lora_weights out",
            )
        stored = BaseWeight(linear, causal.dtype).dense()
        lost = files.tensor(f"{name}.weight").to(stored.device).double()
        if lost.shape != stored.shape:
            raise StepError(f"{name}.weight has another shape in the base's files")
        lost -= stored.double()
        for adapter in layer.active_adapters:
            a, b = nearest(lost, layer.r[adapter], layer.scaling[adapter])
            with torch.no_grad():
                layer.lora_A[adapter].weight.copy_(a)
                layer.lora_B[adapter].weight.copy_(b)


def nearest(matrix: torch.Tensor, rank: int, scale: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Return (A, B) such that no `scale` B A of this rank is nearer to the matrix, in float64.

    By the eigenvectors of its smaller square, which is many times faster than all singular
    vectors, and in float64 as good.
    """
    wide = matrix.shape[0] <= matrix.shape[1]
    square = matrix @ matrix.t() if wide else matrix.t() @ matrix
    values, vectors = torch.linalg.eigh(square)  # ascending
    chosen = vectors[:, -rank:].flip(1)
    size = values[-rank:].flip(0).clamp_min(0).pow(0.25)  # roots of the singular values
    # Where nothing is left to correct, both stay zero.
    inverse = torch.where(size > 0, 1 / size, torch.zeros_like(size))
    if wide:
        b = chosen * size
        a = (chosen * inverse).t() @ matrix
    else:
        a = (chosen * size).t()
        b = matrix @ (chosen * inverse)
    return a / scale**0.5, b / scale**0.5
