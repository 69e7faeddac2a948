"""The loop; it imports torch, so only `train` imports it."""

from __future__ import annotations

import hashlib
import json
import random
from typing import TYPE_CHECKING, Any

import torch
from khichdi.plugins import Progress, StepError, TrainingJob, TrainingResult
from khichdi.plugins.toolkit import (
    IGNORE,
    adapter_tensors,
    deterministic,
    digest_of,
    load_model,
    quiet,
    write_adapter,
)

if TYPE_CHECKING:
    from . import PlainPytorchParams

Sample = tuple[list[int], list[int]]
"""Tokens and labels."""


def train(params: PlainPytorchParams, job: TrainingJob) -> TrainingResult:
    """Train the adapter and write it."""
    if job.train.num_rows == 0:
        raise StepError("there is nothing to train on: no pack has any row")
    with quiet(), deterministic(params.cpu_threads):
        torch.manual_seed(job.seed)
        model, quantized = _model(job)
        trained = [p for p in model.parameters() if p.requires_grad]
        initial = digest_of(adapter_tensors(model))
        held_out = [sample for pack in _packs(job.validation) for sample in pack]
        before = _mean_loss(model, held_out)
        trace = _steps(params, job, model, trained)
        after = _mean_loss(model, held_out)
        write_adapter(model, job.output, job.base_name)
    metrics = {"train_loss": trace[-1]["loss"]}
    if before is not None and after is not None:
        metrics |= {"eval_loss_before": before, "eval_loss": after}
    return TrainingResult(metrics, trace, {"quantized": quantized, "initial": initial})


def _steps(
    params: PlainPytorchParams, job: TrainingJob, model: Any, trained: list[torch.nn.Parameter]
) -> list[dict[str, Any]]:
    """Take every optimizer step, and return what there is to say of each."""
    packs = _packs(job.train)
    plan = _plan(len(packs), params, job.seed)
    optimizer = torch.optim.AdamW(
        trained, lr=params.learning_rate, weight_decay=params.weight_decay
    )
    trace: list[dict[str, Any]] = []
    for step, chosen in enumerate(plan, 1):
        samples = [sample for index in chosen for sample in packs[index]]
        rate = params.learning_rate * (1 - (step - 1) / len(plan))
        for group in optimizer.param_groups:
            group["lr"] = rate
        model.train()
        # The mean is over all answer tokens of the step, however they fall into samples.
        count = max(1, sum(_answered(labels) for _, labels in samples))
        total = 0.0
        for sample in samples:
            loss = _loss(model, sample)
            (loss / count).backward()
            total += loss.item()
        norm = torch.nn.utils.clip_grad_norm_(trained, params.max_grad_norm).item()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        trace.append(
            {
                "step": step,
                "loss": total / count,
                "grad_norm": norm,
                "learning_rate": rate,
                "tokens": sum(len(ids) for ids, _ in samples),
                "batch": "sha256:" + hashlib.sha256(json.dumps(samples).encode()).hexdigest(),
            }
        )
        job.report(Progress(step, len(plan), note=f"loss {total / count:.4f}"))
    return trace


def _plan(packs: int, params: PlainPytorchParams, seed: int) -> list[list[int]]:
    """Return the packs of each step: every epoch shuffles them anew."""
    draw = random.Random(seed)
    steps: list[list[int]] = []
    size = params.packs_per_step
    while True:
        for _ in range(1 if params.max_steps else params.num_epochs):
            order = list(range(packs))
            draw.shuffle(order)
            steps += [order[first : first + size] for first in range(0, packs, size)]
        if params.max_steps is None:
            return steps
        if len(steps) >= params.max_steps:
            return steps[: params.max_steps]


def _packs(table: Any) -> list[list[Sample]]:
    """Return the samples of each pack: seen one by one, they cannot see one another."""
    found = []
    for row in table.to_pylist():
        samples, start = [], 0
        for length in row["lengths"]:
            part = slice(start, start + length)
            samples.append((row["input_ids"][part], row["labels"][part]))
            start += length
        found.append([sample for sample in samples if len(sample[0]) > 1])
    return found


def _answered(labels: list[int]) -> int:
    return sum(label != IGNORE for label in labels[1:])


def _loss(model: Any, sample: Sample) -> torch.Tensor:
    """Return the summed loss of a sample's answer tokens."""
    ids, labels = (torch.tensor([part], device=model.device) for part in sample)
    logits = model(input_ids=ids, use_cache=False).logits[0, :-1].float()
    return torch.nn.functional.cross_entropy(
        logits, labels[0, 1:], ignore_index=IGNORE, reduction="sum"
    )


def _mean_loss(model: Any, samples: list[Sample]) -> float | None:
    """Return the mean loss of held-out answer tokens; None where nothing is held out."""
    count = sum(_answered(labels) for _, labels in samples)
    if not count:
        return None
    model.eval()
    with torch.no_grad():
        return sum(_loss(model, sample).item() for sample in samples) / count


def _model(job: TrainingJob) -> tuple[Any, str]:
    """Return the base with the adapter on it, and the digest of the base as it is stored."""
    from peft import get_peft_model

    base = load_model(job.base, job.quantizer)
    base.requires_grad_(False)
    return get_peft_model(base, job.adapter.config(base)), digest_of(base.state_dict())
