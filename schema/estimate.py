"""Estimate of a recipe: rows, tokens, memory, time and disk, before it runs.

A number that is not known is null; `unknown` says why. `assumed` has, in sentences, what numbers
rest on beside the recipe and what was counted.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from .document import Document


class Memory(Document):
    """Bytes at the moment of training that holds the most, by part; they add up.

    `paged` is the part of `optimizer` that may leave the GPU when it is full; `process` and
    `spare` are parts of `workspace`.
    """

    weights: int = Field(description="Linear weights of the base, as they are stored, and norms.")
    embeddings: int = Field(description="Embedding and head, in the compute type.")
    unpacked: int = Field(description="Cached dequantized base weights (`weight_cache_gib`).")
    adapter: int = Field(description="Trained parameters, float32.")
    gradients: int = Field(description="Their gradients, float32.")
    optimizer: int = Field(description="Moments of the optimizer.")
    activations: int = Field(description="What the backward pass needs, and its work space.")
    logits: int = Field(description="Last hidden states and the logits of one chunk.")
    workspace: int = Field(description="One dequantized weight, context and fragmentation.")
    paged: int = Field(0, description="Part of `optimizer` that may leave the GPU.")

    process: int = Field(0, description="Of `workspace`: CUDA's context, or a process on a CPU.")
    spare: int = Field(0, description="Of `workspace`: what the allocator cannot use.")

    @property
    def total(self) -> int:
        """Return the sum of the parts."""
        return sum(getattr(self, name) for name in PARTS)


PARTS = (
    "weights", "embeddings", "unpacked", "adapter", "gradients", "optimizer", "activations",
    "logits", "workspace",
)  # fmt: skip
"""The parts of memory that add up, in order."""


class DataEstimate(Document):
    """Rows that a data set brings into the mixture."""

    rows: int | None = Field(description="How many; null where nothing says.")
    basis: Literal["counted", "declared", "at most", "unknown"] = Field(
        description="Counted in the store, or said by the recipe."
    )
    why: str | None = Field(None, description="Why rows are not known.")


class Saving(Document):
    """A change of the recipe that takes less memory."""

    path: tuple[str, ...] = Field(description="Where in the recipe.")
    change: str = Field(description="What to write there.")
    saves_bytes: int = Field(description="What that saves.")


class Disk(Document):
    """Bytes on disk."""

    sources: int | None = Field(description="Pinned files; null while some are not pinned.")
    fetch: int | None = Field(description="Of these, bytes that are not in the store yet.")
    rows: int | None = Field(description="Rows and packs of all steps, about.")
    checkpoints: int | None = Field(description="Most that checkpoints take while training.")
    states: int | None = Field(
        None, description="The states that segments of the training are executed again from."
    )
    adapter: int | None = Field(description="The adapter, in the store and in the run.")


class Bound(Document):
    """What it takes at least, where some data set's rows are not known."""

    rows: int
    tokens: int
    packs: int
    steps: int
    seconds: float | None


class Comparison(Document):
    """What a training was estimated to take, just before it, beside what it took.

    Memory is without CUDA's context on a GPU, and of the whole process on a CPU.
    """

    memory_bytes: int | None = Field(None, description="Memory at its peak, estimated.")
    measured_memory_bytes: int | None = Field(None, description="The same, measured.")
    seconds: float | None = Field(None, description="Time to train, estimated.")
    measured_seconds: float | None = Field(None, description="The same, measured.")


class Estimate(Document):
    """What a recipe will take."""

    rows: int | None = Field(description="Rows to train on.")
    tokens: int | None = Field(description="Tokens of one epoch.")
    packs: int | None = Field(description="Packs of one epoch.")
    steps: int | None = Field(description="Optimizer steps in all.")
    gpu_memory_bytes: int | None = Field(description="GPU memory at its peak; null on a CPU.")
    seconds: float | None = Field(description="Time to train, without evaluation.")
    at_least: Bound | None = Field(None, description="Lower bounds, where rows are not known.")
    device: str | None = Field(None, description="The device of the table that this is for.")
    device_memory_bytes: int | None = Field(None, description="Memory that it has.")
    memory: Memory | None = Field(None, description="Memory by part.")
    layers: int | None = Field(None, description="Layers of the base.")
    stored_layers: int | None = Field(
        None,
        description="Layers whose activations are kept and not recomputed; all of them without "
        "`gradient_checkpointing`.",
    )
    trained: int | None = Field(None, description="Parameters that are trained.")
    parameters: int | None = Field(None, description="Parameters of the base.")
    flops_per_token: float | None = Field(None, description="Arithmetic of a token in training.")
    tokens_per_second: float | None = Field(None, description="Rate that `seconds` rests on.")
    rate: str | None = Field(None, description="Where the rate comes from.")
    counted: bool = Field(False, description="Whether tokens were counted, not assumed.")
    data: dict[str, DataEstimate] = Field({}, description="Rows by data set.")
    disk: Disk | None = Field(None, description="Bytes on disk.")
    savings: tuple[Saving, ...] = Field((), description="What would take less memory.")
    assumed: tuple[str, ...] = Field((), description="What numbers rest on.")
    unknown: tuple[str, ...] = Field((), description="What is not known, and why.")
