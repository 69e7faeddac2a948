"""Estimate of a recipe: rows, tokens, memory, time and disk, before it runs.

A number that is not known is null; `unknown` has the reasons. `assumed` lists, in sentences, the
assumptions behind numbers.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from .document import Document

Basis = Literal["counted", "declared", "expected", "at most", "unknown"]
"""The basis of a number of rows."""


class Memory(Document):
    """Bytes at the moment of training that holds the most, by part; they add up.

    `paged` is the part of `optimizer` that may leave the GPU when it is full; `process` and
    `spare` are parts of `workspace`.
    """

    weights: int = Field(description="Linear weights of the base, as stored, and norms.")
    embeddings: int = Field(description="Embedding and head, in the compute dtype.")
    unpacked: int = Field(description="Base weights kept unpacked, for speed.")
    adapter: int = Field(description="Trained parameters, float32.")
    gradients: int = Field(description="Their gradients, float32.")
    optimizer: int = Field(description="Optimizer state.")
    activations: int = Field(
        description="Activations kept for the backward pass, and its workspace."
    )
    logits: int = Field(description="Last hidden states and the logits of one chunk.")
    workspace: int = Field(description="One dequantized weight, context and fragmentation.")
    paged: int = Field(0, description="Part of `optimizer` that may leave the GPU.")

    process: int = Field(0, description="Of `workspace`: CUDA's context, or a process on a CPU.")
    spare: int = Field(0, description="Of `workspace`: fragmentation of the allocator.")

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
    """Rows of a data set in the mixture."""

    rows: int | None = Field(description="Number of rows; null if unknown.")
    basis: Basis = Field(
        description="Source of the number: counted in the store, declared by the sampler, expected "
        "by the recipe, or the most that the sampler keeps."
    )
    at_least: int = Field(0, description="Fewest rows.")
    at_most: int | None = Field(None, description="Most rows; null if unknown.")
    why: str | None = Field(None, description="Why the number is unknown.")


class Saving(Document):
    """A change of the recipe that takes less memory."""

    path: tuple[str, ...] = Field(description="Path in the recipe.")
    change: str = Field(description="Suggested value.")
    saves_bytes: int = Field(description="Memory saved.")


class StepTime(Document):
    """Time of a step other than training: measured in a run here, or by the device table."""

    step: str = Field(description="Name of the step.")
    rows: int | None = Field(None, description="Rows that it reads; null if unknown.")
    seconds: float | None = Field(
        None,
        description="Time, at the most where it is by the table; null if its rate or rows are "
        "unknown.",
    )
    run: str | None = Field(None, description="The run here whose rate is used.")
    seconds_per_row: float | None = Field(
        None, description="Time of a row at the most, by the device table."
    )
    device: str | None = Field(None, description="The device of the table, if no run is used.")


class Disk(Document):
    """Bytes on disk."""

    sources: int | None = Field(description="Pinned files; null while some are not pinned.")
    fetch: int | None = Field(description="Of these, bytes that are not in the store yet.")
    rows: int | None = Field(description="Rows and packs of all steps, approximately.")
    checkpoints: int | None = Field(description="Maximum size of checkpoints during training.")
    states: int | None = Field(None, description="States that training segments are replayed from.")
    adapter: int | None = Field(description="The adapter, in the store and in the run.")


class Bound(Document):
    """Cost at the fewest or the most rows, where those of some data set are not certain."""

    rows: int
    tokens: int
    packs: int
    steps: int | None
    seconds: float | None


class Comparison(Document):
    """Estimated and measured cost of a training.

    Memory is without CUDA's context on a GPU, and of the whole process on a CPU.
    """

    memory_bytes: int | None = Field(None, description="Estimated peak memory.")
    measured_memory_bytes: int | None = Field(None, description="The same, measured.")
    seconds: float | None = Field(None, description="Estimated training time.")
    measured_seconds: float | None = Field(None, description="The same, measured.")


class Estimate(Document):
    """Estimated cost of a recipe."""

    rows: int | None = Field(description="Rows to train on.")
    tokens: int | None = Field(description="Tokens of one epoch.")
    packs: int | None = Field(description="Packs of one epoch.")
    steps: int | None = Field(description="Total optimizer steps.")
    gpu_memory_bytes: int | None = Field(description="Peak GPU memory; null on a CPU.")
    seconds: float | None = Field(description="Training time, without evaluation.")
    at_least: Bound | None = Field(None, description="Lower bounds, if rows are not certain.")
    at_most: Bound | None = Field(None, description="Upper bounds, if rows are not certain.")
    other_steps: tuple[StepTime, ...] = Field(
        (),
        description="Time of other steps that have to run: of those that run the model, and of "
        "those that took long in an earlier run here.",
    )
    elsewhere: dict[str, float] = Field(
        {},
        description="If no device is named: training time by device of the table that has room "
        "and takes less than a week.",
    )
    device: str | None = Field(None, description="Device of the table.")
    device_memory_bytes: int | None = Field(None, description="Memory of the device.")
    memory: Memory | None = Field(None, description="Memory by part.")
    layers: int | None = Field(None, description="Layers of the base.")
    stored_layers: int | None = Field(
        None,
        description="Layers whose activations are kept, and not recomputed in the backward pass.",
    )
    trained: int | None = Field(None, description="Trained parameters.")
    parameters: int | None = Field(None, description="Parameters of the base.")
    flops_per_token: float | None = Field(None, description="FLOPs per token in training.")
    tokens_per_second: float | None = Field(None, description="Rate used for `seconds`.")
    rate: str | None = Field(None, description="Where the rate comes from.")
    counted: bool = Field(False, description="Whether tokens were counted instead of assumed.")
    data: dict[str, DataEstimate] = Field({}, description="Rows by data set.")
    disk: Disk | None = Field(None, description="Bytes on disk.")
    savings: tuple[Saving, ...] = Field((), description="Suggestions that save memory.")
    assumed: tuple[str, ...] = Field((), description="Assumptions behind the numbers.")
    unknown: tuple[str, ...] = Field((), description="Unknown quantities, with reasons.")
