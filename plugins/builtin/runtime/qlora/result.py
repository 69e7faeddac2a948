"""Result of a training: metrics, trace, states, and measurements."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch

from khichdi.plugins.kinds import TrainingResult
from khichdi.schema.training_states import States

from .environment import bits_depend_on
from .segments import segment_states as states
from .trace_metrics import trace_metrics

if TYPE_CHECKING:
    from .trainer import Training


def outcome(training: Training) -> TrainingResult:
    """Return the result of a training that has taken its last step."""
    trainee = training.trainee
    return TrainingResult(
        metrics=dict(_metrics(training)),
        trace=training.trace,
        weights=trainee.digests,
        stopped=training.ending.reason(training.step),
        states=_committed(training),
        states_folder=training.job.work / states.STATES,
        measured={
            "seconds": training.fresh_seconds,
            "tokens_per_second": training.fresh_tokens / max(training.fresh_seconds, 1e-9),
            **_memory(training),
            **training.processes.measured(trainee.peft),
            "unpacked_weight_bytes": float(trainee.cached),
            **(trainee.recomputation.measured() if trainee.recomputation else {}),
            "device": bits_depend_on(trainee.device)["device"],
            "threads": float(torch.get_num_threads()),
            "attention": trainee.attention,
            **trainee.kernels,
            "determinism": training.params.determinism,
        },
    )


def _committed(training: Training) -> States | None:
    """Return the states that this process has written, if it is the one that does."""
    if not training.processes.leads:
        return None
    return States(adapter_step=_adapter_step(training), bounds=tuple(training.states))


def _adapter_step(training: Training) -> int:
    """Return the step after which the weights were as the adapter has them."""
    after = {step: loss for step, loss in training.losses.items() if step > 0}
    if not after or not training.params.metric_for_best_model:
        return training.step
    return min(after, key=lambda step: (after[step], step))


def _memory(training: Training) -> dict[str, float | str]:
    """Return the peak of the process that took the most."""
    found = training.memory.measured()
    peaks = training.processes.from_all(float(found["peak_memory_bytes"]))
    return found | {"peak_memory_bytes": max(peaks)}


def _metrics(training: Training) -> Iterator[tuple[str, float]]:
    """Yield the metrics of the trace, and those that only the training itself knows."""
    best = training.params.metric_for_best_model is not None
    yield from trace_metrics(training.trace, best=best)
    if 0 in training.losses:
        yield "eval_loss_before", training.losses[0]
    yield "trainable_parameters", float(sum(p.numel() for p in training.trainee.trained))
