"""The `qlora` runtime: train an adapter over a frozen, usually quantized base."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from khichdi.plugins import (
    Replay,
    Runtime,
    TrainingJob,
    TrainingResult,
    TrainingSegment,
)
from khichdi.plugins.toolkit.torch_environment import before_torch

from .params import QloraParams


class Qlora(Runtime[QloraParams]):
    """Train an adapter over frozen, usually quantized weights (QLoRA), repeatable to the bit."""

    name = "qlora"
    version = 2  # 2: attention in blocks, logits in smaller chunks, states in the trace
    requires = ("torch", "transformers", "peft", "bitsandbytes", "safetensors")
    launches = True

    def train(self, job: TrainingJob) -> TrainingResult:
        """Train, and write the adapter in peft's format."""
        before_torch()
        if job.launch is not None and job.launch.size > 1:
            from .distributed.launcher import launch

            return launch(self.params, job, job.launch)
        from .run import run

        return run(self.params, job)

    def replay(self, job: TrainingJob, segments: Sequence[TrainingSegment]) -> Replay:
        """Execute segments of a training again, each from the state before it."""
        before_torch()
        from .segments.replay import run

        return run(self.params, job, segments)

    def rehearsal(self) -> dict[str, Any]:
        """Take three steps, with an evaluation and a checkpoint among them."""
        return {
            "micro_batch_size": min(2, self.params.micro_batch_size),
            "gradient_accumulation_steps": min(2, self.params.gradient_accumulation_steps),
            "max_steps": 3,
            "warmup_steps": min(1, self.params.warmup_steps),
            "eval_steps": self.params.eval_steps and 2,
            "save_steps": self.params.save_steps and 2,
            "stop_after_steps": self.params.stop_after_steps and 2,
            "max_hours": None,
            "report_to": (),
        }
