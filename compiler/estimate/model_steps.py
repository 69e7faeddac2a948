"""Estimate the time of steps other than training: measured here, else by arithmetic and bandwidth.

Steps that run the model are prompts to read and tokens to generate. Formulas and their sources are
in docs/estimates.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from ...plugins import Generation, Quantizer
from ...plugins.registry import Registry
from ...schema.architecture import BYTES, Architecture
from ...schema.device import UNPACKED, Device
from ...schema.estimate import StepTime
from ...schema.plan import PlanStep
from ..instances import asked, failure

MODEL = ("scorer", "evaluator", "exporter")
"""Kinds whose steps run the model: a plan lists them though nothing was measured."""
MIXED = ("mixture", "split", "pack")
"""Kinds whose steps read all rows of the mixture."""
LONG = 1.0
"""Seconds of a step, measured, above which a plan lists it."""
FORWARD = 1 / 3
"""Share of a training layer's least time that its forward pass takes."""


@dataclass(frozen=True)
class Rate:
    """What a step took in a run here.

    Attributes:
        run: the run's name.
        seconds: that the step took.
        rows: that it read; None where it reads none.
    """

    run: str
    seconds: float
    rows: int | None

    def of(self, rows: int | None) -> float | None:
        """Return the seconds of so many rows; of a step that reads none, those that it took."""
        if not self.rows:
            return self.seconds
        return None if rows is None else self.seconds * rows / self.rows


@dataclass(frozen=True)
class WaitingStep:
    """A step that has to run: its rows as far as counted, and its rate where it was measured."""

    step: PlanStep
    rows: int | None
    rate: Rate | None


@dataclass(frozen=True)
class Model:
    """The model that steps run: its architecture, how it is stored, and on which device."""

    architecture: Architecture
    quantizer: Quantizer[Any]
    device: Device


def step_times(
    waiting: Sequence[WaitingStep],
    registry: Registry,
    model: Model | None,
    *,
    rows: int | None,
    tokens_per_row: float,
) -> tuple[StepTime, ...]:
    """Return the time of each step that takes long, or runs the model.

    Args:
        waiting: the steps that have to run, training left out.
        registry: the installed plugins.
        model: what they run; None where base or device are not known.
        rows: of the mixture, for steps whose rows nobody counted.
        tokens_per_row: tokens of a row on average.
    """
    times = []
    for one in waiting:
        if one.rows is None and one.step.kind in MIXED:
            one = replace(one, rows=rows)
        runs_model = one.step.kind in MODEL
        if one.rate is not None:
            seconds = one.rate.of(one.rows)
            if runs_model or (seconds or 0) > LONG:
                times.append(_named(one, seconds=seconds, run=one.rate.run))
        elif runs_model:
            times.append(_by_table(one, registry, model, tokens_per_row))
    return tuple(times)


def _named(one: WaitingStep, **values: Any) -> StepTime:
    return StepTime(step=one.step.name, rows=one.rows, **values)


def _by_table(
    one: WaitingStep, registry: Registry, model: Model | None, tokens_per_row: float
) -> StepTime:
    """Return the time by the device table, for the rows that are known and for each row."""
    wanted = _generation(one, registry, tokens_per_row) if model is not None else None
    if wanted is None or model is None:
        return _named(one)
    each = seconds_per_prompt(wanted, model)
    return StepTime(
        step=one.step.name,
        rows=wanted.prompts,
        seconds=None if wanted.prompts is None else each * wanted.prompts,
        seconds_per_row=each,
        device=model.device.name,
    )


def _generation(one: WaitingStep, registry: Registry, tokens: float) -> Generation | None:
    """Return what a step asks of the model, as its plugin says it."""
    kind, used = one.step.kind, one.step.plugin
    if kind == "exporter":
        return None
    plugin = registry.create(kind, used.name, used.params)
    found = asked(registry, plugin, lambda it: it.generation(one.rows, tokens))
    if found is not None and not isinstance(found, Generation):
        message = f"`generation` returned {type(found).__name__}, a Generation was expected"
        raise failure(registry, kind, used.name, message)
    return found


def seconds_per_prompt(wanted: Generation, model: Model) -> float:
    """Return the seconds that a prompt and its answer take, batch by batch.

    Reading a batch of prompts is bound by arithmetic; each token of its answers by reading the
    weights once for the whole batch, or by the launches of its kernels.
    """
    architecture, device = model.architecture, model.device
    width = BYTES[model.quantizer.dtype()]
    weights = architecture.linear_weights + architecture.experts
    head = architecture.vocab * architecture.hidden
    copied = weights * (width + _unpacking(model, width)) + head * width
    step = max(device.copying(copied), architecture.layers * device.launch * FORWARD)
    prompts = 2.0 * weights * wanted.batch * wanted.prompt_tokens / device.rate(width)
    token = 2.0 * (weights + head) * wanted.batch / device.rate(width)
    return (prompts + step + wanted.new_tokens * max(token, step)) / wanted.batch


def _unpacking(model: Model, width: int) -> float:
    """Return the bytes moved to unpack a weight at each step; 0 where they are not in 4 bits."""
    linear = model.architecture.linears[0]
    stored = model.quantizer.stored_bytes(linear)
    return UNPACKED if stored is not None and stored < width / 2 * linear.weights else 0.0
