"""Estimate the time of a training: arithmetic at a device's rate, and weights to unpack."""

from __future__ import annotations

from typing import TYPE_CHECKING

from khichdi.plugins import Work, Workload
from khichdi.schema.architecture import BYTES, Architecture
from khichdi.schema.device import UNPACKED, Device

if TYPE_CHECKING:
    from .params import QloraParams


def flops_per_token(workload: Workload, trained: int, recomputed: float) -> float:
    """Return the floating-point operations of a token in training; a multiply-add is two.

    Args:
        workload: the training.
        trained: parameters that are trained.
        recomputed: share of layers that are computed again in the backward pass.
    """
    architecture = workload.architecture
    forward = _forward(architecture, seen_by_attention(workload))
    dense = 2.0 * (architecture.linear_weights + architecture.experts)
    attention = forward - dense
    low_rank = (6 + 2 * recomputed) * trained
    head = 4.0 * architecture.vocab * architecture.hidden * workload.trained_share
    # Frozen weights have no gradient of their own: backward is one product, not two.
    return (1 + recomputed) * forward + dense + 2.5 * attention + low_rank + head


def seconds(
    params: QloraParams,
    workload: Workload,
    device: Device,
    work: Work,
    *,
    operations: float,
    recomputed: float,
    packed: bool,
) -> float:
    """Return how long training takes on a device, with so many operations a token."""
    architecture = workload.architecture
    width = BYTES[workload.quantizer.dtype()]
    rate = device.rate(width)
    passes = 2 + recomputed
    kept = float(params.weight_cache_gib) * 2**30 / width
    unpacked = max(0.0, architecture.linear_weights - kept) if packed else 0.0
    unpack = device.copying(passes * unpacked * UNPACKED)
    launch = architecture.layers * device.launch * (passes + 1) / 3
    a_batch = work.tokens / max(1, work.micro_batches)
    training = work.micro_batches * max(a_batch * operations / rate + unpack, launch)
    return training + work.evaluated * _forward(architecture, seen_by_attention(workload)) / rate


def seen_by_attention(workload: Workload) -> float:
    """Return the tokens in one attention: a sample, or a wrapped pack."""
    wrapped = workload.sample_packing and workload.packing_strategy == "wrapped"
    return float(workload.sequence_len) if wrapped else workload.sample


def _forward(architecture: Architecture, sample: float) -> float:
    """Return the operations of a forward pass, without head and adapter.

    A token sees half its sample on average; samples of many lengths, weighted by their length,
    are about twice as long as their mean.
    """
    context = min(sample, float(architecture.window or sample))
    attention = 4.0 * architecture.heads * architecture.head_dim * context * architecture.layers
    return 2.0 * (architecture.linear_weights + architecture.experts) + attention
