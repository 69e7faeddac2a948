"""The runtime `my-plugin`: a training loop that can be read in one sitting."""

from __future__ import annotations

import hashlib
import json
import random
from typing import Any

from khichdi.plugins import Params, Progress, Runtime, Schedule, TrainingJob, TrainingResult
from pydantic import Field

Sample = tuple[list[int], list[int]]
"""Token ids and labels."""


class MyPluginParams(Params):
    """Parameters of `my-plugin`; every field has a description."""

    num_epochs: int = Field(1, ge=1, description="Passes over the training set.")
    packs_per_step: int = Field(4, ge=1, description="Packs per optimizer step.")
    learning_rate: float = Field(1e-3, gt=0, description="Initial rate; it decays linearly to 0.")
    cpu_threads: int = Field(2, ge=1, le=256, description="CPU threads: rounding depends on them.")


class MyPlugin(Runtime[MyPluginParams]):
    """Train with AdamW in a plain PyTorch loop, sample by sample; a killed run starts over."""

    name = "my-plugin"
    requires = ("torch", "transformers", "peft", "safetensors")

    def rehearsal(self) -> dict[str, Any]:
        """Return parameters of a short training."""
        return {"num_epochs": 1, "packs_per_step": 1}

    def schedule(self) -> Schedule:
        """Return how long a training is, for estimates."""
        return Schedule(accumulation=self.params.packs_per_step, epochs=self.params.num_epochs)

    def train(self, job: TrainingJob) -> TrainingResult:
        """Train, write the adapter to `job.output`, and return each step's figures."""
        import torch
        from khichdi.plugins.toolkit import (
            adapter_tensors,
            deterministic,
            digest_of,
            load_model,
            quiet,
            write_adapter,
        )
        from peft import get_peft_model

        with quiet(), deterministic(self.params.cpu_threads):
            torch.manual_seed(job.seed)
            base = load_model(job.base, job.quantizer).requires_grad_(False)
            digests = {"quantized": digest_of(base.state_dict())}
            model = get_peft_model(base, job.adapter.config(base))
            digests["initial"] = digest_of(adapter_tensors(model))
            validation = [sample for pack in _packs(job.validation) for sample in pack]
            metrics = {"eval_loss_before": _mean_loss(model, validation)} if validation else {}
            trace = self._steps(job, model)
            metrics |= {"eval_loss": _mean_loss(model, validation)} if validation else {}
            write_adapter(model, job.output, job.base_name)
        return TrainingResult({"train_loss": trace[-1]["loss"]} | metrics, trace, digests)

    def _steps(self, job: TrainingJob, model: Any) -> list[dict[str, Any]]:
        """Take every optimizer step, and return the entry of each in the trace."""
        import torch

        packs = _packs(job.train)
        plan = self._plan(len(packs), job.seed)
        trained = [p for p in model.parameters() if p.requires_grad]
        optimizer = torch.optim.AdamW(trained, lr=self.params.learning_rate)
        trace = []
        model.train()
        for step, chosen in enumerate(plan, 1):
            samples = [sample for index in chosen for sample in packs[index]]
            # The mean is over all answer tokens of the step, however they fall into samples.
            count = max(1, sum(_trained_tokens(labels) for _, labels in samples))
            rate = self.params.learning_rate * (1 - (step - 1) / len(plan))
            optimizer.param_groups[0]["lr"] = rate
            total = 0.0
            for sample in samples:
                loss = _loss(model, sample)
                (loss / count).backward()
                total += loss.item()
            norm = torch.nn.utils.clip_grad_norm_(trained, 1.0).item()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            figures = {"loss": total / count, "grad_norm": norm, "learning_rate": rate}
            tokens = sum(len(ids) for ids, _ in samples)
            batch = "sha256:" + hashlib.sha256(json.dumps(samples).encode()).hexdigest()
            trace.append({"step": step, **figures, "tokens": tokens, "batch": batch})
            job.report(Progress(step, len(plan), note=f"loss {total / count:.4f}"))
        return trace

    def _plan(self, packs: int, seed: int) -> list[list[int]]:
        """Return the packs of each step, shuffled again in every epoch."""
        draw = random.Random(seed)
        steps: list[list[int]] = []
        for _ in range(self.params.num_epochs):
            order = draw.sample(range(packs), packs)
            size = self.params.packs_per_step
            steps += [order[first : first + size] for first in range(0, packs, size)]
        return steps


def _packs(table: Any) -> list[list[Sample]]:
    """Return the samples of each pack: trained one by one, they cannot see one another."""
    found = []
    for row in table.to_pylist():
        samples, start = [], 0
        for length in row["lengths"]:
            part = slice(start, start + length)
            samples.append((row["input_ids"][part], row["labels"][part]))
            start += length
        found.append([sample for sample in samples if len(sample[0]) > 1])
    return found


def _trained_tokens(labels: list[int]) -> int:
    from khichdi.plugins.toolkit import IGNORE

    return sum(label != IGNORE for label in labels[1:])


def _loss(model: Any, sample: Sample) -> Any:
    """Return the summed cross-entropy of a sample's answer tokens."""
    import torch
    from khichdi.plugins.toolkit import IGNORE

    ids, labels = (torch.tensor([part], device=model.device) for part in sample)
    logits = model(input_ids=ids, use_cache=False).logits[0, :-1].float()
    entropy = torch.nn.functional.cross_entropy
    return entropy(logits, labels[0, 1:], ignore_index=IGNORE, reduction="sum")


def _mean_loss(model: Any, samples: list[Sample]) -> float:
    """Return the mean loss per answer token."""
    import torch

    model.eval()
    with torch.no_grad():
        total = sum(_loss(model, sample).item() for sample in samples)
    return float(total / max(1, sum(_trained_tokens(labels) for _, labels in samples)))
