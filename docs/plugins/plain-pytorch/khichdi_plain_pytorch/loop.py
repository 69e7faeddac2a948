"""The loop; it imports torch, so only `train` imports it."""

from __future__ import annotations

import hashlib
import json
import os
import random
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from khichdi.plugins import Progress, StepError, TrainingJob, TrainingResult
from safetensors.torch import save_file

if TYPE_CHECKING:
    from . import PlainPytorchParams

Sample = tuple[list[int], list[int]]
"""Tokens and labels."""


def train(params: PlainPytorchParams, job: TrainingJob) -> TrainingResult:
    """Train the adapter and write it."""
    if job.train.num_rows == 0:
        raise StepError("there is nothing to train on: no pack has any row")
    with _repeatable(params.cpu_threads, job.seed):
        model, quantized = _model(job)
        trained = {n: p for n, p in model.named_parameters() if p.requires_grad}
        initial = _digest(trained.items())
        held_out = [sample for pack in _packs(job.validation) for sample in pack]
        before = _mean_loss(model, held_out)
        trace = _steps(params, job, model, list(trained.values()))
        after = _mean_loss(model, held_out)
        _write(model, job)
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
        count = max(1, sum(_learnt(labels) for _, labels in samples))
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


def _learnt(labels: list[int]) -> int:
    return sum(label != -100 for label in labels[1:])


def _loss(model: Any, sample: Sample) -> torch.Tensor:
    """Return the summed loss of a sample's answer tokens."""
    ids, labels = (torch.tensor([part], device=model.device) for part in sample)
    logits = model(input_ids=ids, use_cache=False).logits[0, :-1].float()
    return torch.nn.functional.cross_entropy(
        logits, labels[0, 1:], ignore_index=-100, reduction="sum"
    )


def _mean_loss(model: Any, samples: list[Sample]) -> float | None:
    """Return the mean loss of held-out answer tokens; None where there is no validation set."""
    count = sum(_learnt(labels) for _, labels in samples)
    if not count:
        return None
    model.eval()
    with torch.no_grad():
        return sum(_loss(model, sample).item() for sample in samples) / count


def _model(job: TrainingJob) -> tuple[Any, str]:
    """Return the base with the adapter on it, and the digest of the base as it is stored."""
    from peft import get_peft_model
    from transformers import AutoModelForCausalLM

    base = AutoModelForCausalLM.from_pretrained(
        str(job.base),
        quantization_config=job.quantizer.config(),
        dtype=getattr(torch, job.quantizer.dtype()),
        device_map={"": torch.device("cuda" if torch.cuda.is_available() else "cpu")},
        local_files_only=True,
    )
    base.requires_grad_(False)
    digest = _digest(base.state_dict().items())
    return get_peft_model(base, job.adapter.config(base)), digest


def _digest(tensors: Iterable[tuple[str, torch.Tensor]]) -> str:
    """Return the digest of tensors: names, types, shapes and bytes, by name."""
    found = hashlib.sha256()
    for name, tensor in sorted(tensors, key=lambda item: item[0]):
        raw = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
        found.update(f"{name}\0{tensor.dtype}\0{tuple(tensor.shape)}\0".encode())
        found.update(raw.numpy().tobytes())
    return "sha256:" + found.hexdigest()


def _write(model: Any, job: TrainingJob) -> None:
    """Write the adapter in peft's format; the same bytes for the same weights."""
    from peft import get_peft_model_state_dict

    config = model.peft_config["default"].to_dict()
    config |= {"base_model_name_or_path": job.base_name, "inference_mode": True}
    text = json.dumps(config, indent=2, sort_keys=True, default=sorted)
    (job.output / "adapter_config.json").write_text(text + "\n", encoding="utf-8")
    state = get_peft_model_state_dict(model, save_embedding_layers=False)
    tensors = {name: tensor.contiguous().cpu() for name, tensor in sorted(state.items())}
    save_file(tensors, job.output / "adapter_model.safetensors", metadata={"format": "pt"})


@contextmanager
def _repeatable(threads: int, seed: int) -> Iterator[None]:
    """Fix what could change bits between two runs, and put it back afterwards."""
    before = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    workspace = os.environ.get("CUBLAS_WORKSPACE_CONFIG")
    os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True)
    try:
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            yield
    finally:
        torch.set_num_threads(before[0])
        torch.use_deterministic_algorithms(before[1])
        if workspace is None:
            del os.environ["CUBLAS_WORKSPACE_CONFIG"]
        else:
            os.environ["CUBLAS_WORKSPACE_CONFIG"] = workspace
