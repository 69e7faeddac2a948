"""The time that training takes: arithmetic at a device's rate, and weights unpacked on the way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ...schema.architecture import Architecture
from ...schema.recipe import Recipe
from .devices import Device
from .memory import compute_bytes, trained_shapes

UNPACKED = 2.78
"""Bytes read and written to unpack a 4-bit weight: 0.52 read, 2 written, and its scales twice."""
BANDWIDTH = 0.9
"""Share of a device's memory bandwidth that copies come to."""


@dataclass(frozen=True)
class Work:
    """What is to be calculated in all.

    Attributes:
        tokens: trained on, over all epochs.
        micro_batches: that these are in.
        evaluated: tokens of held-out rows, over all evaluations.
        sample: tokens of a sample on average.
        learnt: share of tokens that the loss counts.
        again: share of layers that are calculated anew in the backward pass.
    """

    tokens: int
    micro_batches: int
    evaluated: int
    sample: float
    learnt: float
    again: float


def flops_per_token(
    recipe: Recipe, architecture: Architecture, sample: float, learnt: float, again: float
) -> float:
    """Return the floating-point operations of a token in training; a multiply-add is two."""
    forward = _forward(architecture, sample)
    dense = 2.0 * architecture.linear_weights
    attention = forward - dense
    trained = sum(trained_shapes(recipe, architecture))
    low_rank = (6 + 2 * again) * trained
    head = 4.0 * architecture.vocab * architecture.hidden * learnt
    # Frozen weights have no gradient of their own: backward is one product, not two.
    return (1 + again) * forward + dense + 2.5 * attention + low_rank + head


def seconds(recipe: Recipe, architecture: Architecture, device: Device, work: Work) -> float:
    """Return how long training takes on a device of the table."""
    rate = device.flops * device.realised * (2 / compute_bytes(recipe))
    operations = flops_per_token(recipe, architecture, work.sample, work.learnt, work.again)
    passes = 2 + work.again
    unpack = passes * _packed_weights(recipe, architecture) * UNPACKED
    unpack /= device.bandwidth * BANDWIDTH
    launch = architecture.layers * device.launch * (passes + 1) / 3
    a_batch = work.tokens / max(1, work.micro_batches)
    training = work.micro_batches * max(a_batch * operations / rate + unpack, launch)
    return training + work.evaluated * _forward(architecture, work.sample) / rate


def _forward(architecture: Architecture, sample: float) -> float:
    """Return the operations of a forward pass, without head and adapter.

    A token sees half its sample on average; samples of many lengths, weighted by their length,
    are about twice as long as their mean.
    """
    context = min(sample, float(architecture.window or sample))
    attention = 4.0 * architecture.heads * architecture.head_dim * context * architecture.layers
    return 2.0 * architecture.linear_weights + attention


def _packed_weights(recipe: Recipe, architecture: Architecture) -> float:
    """Return how many weights are unpacked in each pass: none that are kept unpacked."""
    if recipe.model.quantization.use == "none":
        return 0.0
    train: Any = recipe.train
    kept = float(train.weight_cache_gib) * 2**30 / compute_bytes(recipe)
    return max(0.0, architecture.linear_weights - kept)
