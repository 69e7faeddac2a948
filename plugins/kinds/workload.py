"""A training before it runs: a runtime's inputs and outputs of an estimate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import ceil
from typing import Any, Literal

from ...schema.architecture import Architecture
from ...schema.estimate import Memory, Saving
from .adapter import Adapter
from .launch import Launch
from .quantizer import Quantizer


class AccountError(Exception):
    """Raised by a plugin that cannot estimate a training; the message says why."""


@dataclass(frozen=True)
class Schedule:
    """The length of a training, as far as its parameters give it.

    Attributes:
        micro_batch: packs that are computed at once.
        accumulation: micro batches of an optimizer step.
        epochs: passes over all packs.
        total_steps: optimizer steps in all, in place of `epochs`.
        stop_after: optimizer steps after which training ends earlier.
        eval_every: optimizer steps between evaluations; below 1, a share of all steps; None for
            one at the end of each epoch.
        each_epoch: evaluations per epoch, in place of `eval_every`.
        counts: parameters that count optimizer steps, by name: none may be more than there are.
    """

    micro_batch: int = 1
    accumulation: int = 1
    epochs: int = 1
    total_steps: int | None = None
    stop_after: int | None = None
    eval_every: float | None = None
    each_epoch: int | None = None
    counts: Mapping[str, int] = field(default_factory=dict)

    @property
    def batch(self) -> int:
        """Return the packs of an optimizer step."""
        return self.micro_batch * self.accumulation

    def steps(self, packs: int) -> int:
        """Return the optimizer steps over so many packs."""
        steps = self.total_steps or ceil(packs / self.batch) * self.epochs
        return min(steps, self.stop_after or steps)

    def share(self, processes: int) -> float:
        """Return the part of an optimizer step's micro batches that the busiest process has."""
        return ceil(self.accumulation / processes) / self.accumulation

    def evaluations(self, steps: int) -> int:
        """Return how often held-out rows are evaluated in so many steps, the first time before."""
        if self.eval_every is None and self.each_epoch is None:
            return 1 + self.epochs
        every = self.eval_every or 0
        if self.each_epoch is not None:
            every = ceil(ceil(steps / self.epochs) / self.each_epoch)
        elif every < 1:
            every = ceil(steps * every)
        return 1 + ceil(steps / max(1, every))


@dataclass(frozen=True)
class BaseSupport:
    """How a runtime trains a base, by its configuration alone.

    Attributes:
        layout: `packed`, where samples of a batch share a row; `unpacked`, where each has a row of
            its own, padded; or `refused`.
        reason: why it is not packed.
        hint: what to do about a base that is refused.
        attention: what computes attention.
    """

    layout: Literal["packed", "unpacked", "refused"]
    reason: str = ""
    hint: str = ""
    attention: str = ""


@dataclass(frozen=True)
class Workload:
    """A training whose memory and time are asked for.

    Attributes:
        architecture: of the base model.
        quantizer: how the base is stored.
        adapter: what is trained.
        gpu: whether it is trained on a GPU.
        sequence_len: the most tokens of a pack.
        sample_packing: whether several samples share a pack.
        packing_strategy: how they are packed.
        sample: tokens of a sample, on average.
        trained_share: share of tokens that the loss counts.
        steps: optimizer steps in all, where they are known.
        launch: the processes that it is divided over; the memory is that of each.
    """

    architecture: Architecture
    quantizer: Quantizer[Any]
    adapter: Adapter[Any]
    gpu: bool
    sequence_len: int
    sample_packing: bool = True
    packing_strategy: Literal["bfd", "wrapped"] = "bfd"
    sample: float = 1.0
    trained_share: float = 1.0
    steps: int | None = None
    launch: Launch = field(default_factory=Launch)


@dataclass(frozen=True)
class Work:
    """The amount of computation of a training.

    Attributes:
        tokens: trained on, over all epochs.
        micro_batches: that these are in.
        evaluated: tokens of held-out rows, over all evaluations.
    """

    tokens: int
    micro_batches: int
    evaluated: int


@dataclass(frozen=True)
class Generation:
    """What a step asks of a model: prompts to read, and tokens to generate.

    Attributes:
        prompts: how many; None where the rows are not known.
        prompt_tokens: tokens of a prompt that are read for it alone, on average.
        new_tokens: tokens generated for one; at the most, unless the plugin knows better.
        batch: prompts that are answered together.
    """

    prompts: int | None
    prompt_tokens: float
    new_tokens: float
    batch: int = 1


@dataclass(frozen=True)
class Account:
    """A runtime's estimate of a training's cost.

    Attributes:
        memory: at its peak, by part.
        stored_layers: layers whose activations are kept, not recomputed.
        flops_per_token: floating-point operations of a token in training.
        checkpoint_bytes: the most that checkpoints take on disk while it runs.
        state_bytes: bytes on disk of the states that segments are replayed from.
        savings: changes of the recipe that take less memory, the largest saving first.
    """

    memory: Memory
    stored_layers: int
    flops_per_token: float
    checkpoint_bytes: int = 0
    state_bytes: int = 0
    savings: tuple[Saving, ...] = ()
