"""The `qlora` runtime: train an adapter over a frozen, usually quantized base."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from khichdi.plugins import (
    Account,
    BaseSupport,
    Breach,
    Quantizer,
    Replay,
    Runtime,
    Schedule,
    TrainingJob,
    TrainingResult,
    TrainingSegment,
    Work,
    Workload,
)
from khichdi.plugins.toolkit.torch_environment import before_torch
from khichdi.schema.device import Device

from .params import QloraParams

COUNT_STEPS = ("warmup_steps", "eval_steps", "stop_after_steps")
"""Parameters that count optimizer steps."""
ABOUT_VALIDATION = (
    "metric_for_best_model", "eval_steps", "evals_per_epoch", "early_stopping_patience",
)  # fmt: skip
"""Parameters that mean nothing without held-out rows."""
RATE_PARAMS = frozenset(
    {
        "gradient_checkpointing", "activation_budget_gib", "micro_batch_size", "determinism",
        "torch_compile", "use_liger_kernel",
    }
)  # fmt: skip
"""Parameters that the tokens trained in a second depend on."""


class Qlora(Runtime[QloraParams]):
    """Train an adapter over frozen, usually quantized weights (QLoRA), bit-identically."""

    name = "qlora"
    version = 2  # 2: attention in blocks, logits in smaller chunks, states in the trace
    requires = ("torch", "transformers", "peft", "bitsandbytes", "safetensors")
    launches = True

    def varies_by(self) -> str | None:
        """Return `determinism: fast`, where it is asked for."""
        return "determinism: fast" if self.params.determinism == "fast" else None

    def schedule(self) -> Schedule:
        """Return epochs, steps and batches."""
        params = self.params
        counts = {name: getattr(params, name) for name in COUNT_STEPS}
        return Schedule(
            micro_batch=params.micro_batch_size,
            accumulation=params.gradient_accumulation_steps,
            epochs=params.num_epochs,
            total_steps=params.max_steps,
            stop_after=params.stop_after_steps,
            eval_every=params.eval_steps,
            each_epoch=params.evals_per_epoch,
            counts={name: value for name, value in counts.items() if isinstance(value, int)},
        )

    def account(self, workload: Workload) -> Account:
        """Return the memory, arithmetic and disk that a training takes."""
        from .memory.account import account

        return account(self.params, workload)

    def seconds(self, workload: Workload, device: Device, work: Work) -> float | None:
        """Return how long so much work takes on a device."""
        from .memory.account import seconds

        return seconds(self.params, workload, device, work)

    def base_support(
        self, config: Mapping[str, Any], quantizer: Quantizer[Any]
    ) -> BaseSupport | None:
        """Return whether samples share rows, and what computes attention."""
        from .bases import support

        return support(config, self.params, quantizer)

    def contradictions(self, sample_packing: bool, validation: bool) -> list[Breach]:
        """Return what packing or missing held-out rows leave without a meaning."""
        params, found = self.params, []
        if params.group_by_length and sample_packing:
            message = "`group_by_length` has nothing to group: packs are as good as equally long"
            hint = "add `sample_packing: false`, or leave it out"
            found.append(Breach(message, ("group_by_length",), hint))
        for name in () if validation else ABOUT_VALIDATION:
            if getattr(params, name) is not None:
                message = f"`{name}` needs a validation set, and there is none"
                hint = "add `mixture: {validation: {count: N}}`"
                found.append(Breach(message, (name,), hint))
        return found

    @classmethod
    def rate_params(cls) -> frozenset[str]:
        """Return what changes the arithmetic of a token, or the kernels that do it."""
        return RATE_PARAMS

    def with_learning_rate(self, factor: float) -> dict[str, Any]:
        """Return another `learning_rate`."""
        return {"learning_rate": factor * self.params.learning_rate}

    def with_length(self, steps: int, by: int) -> dict[str, Any]:
        """Return another number of epochs, or of steps a third of the training away."""
        epochs = self.params.num_epochs
        if self.params.max_steps is None and epochs + by >= 1:
            return {"num_epochs": epochs + by}
        total = max(1, round(steps * (1 + by / 3)))
        counts = self.schedule().counts
        return {"max_steps": total, **{name: min(n, total) for name, n in counts.items()}}

    def rounded_otherwise(self, gpu: bool) -> list[dict[str, dict[str, Any]]]:
        """Return other attention, and on a CPU another number of threads."""
        own = self.params.attn_implementation
        attention = {
            f"attention {name}": {"attn_implementation": name}
            for name in ("sdpa", "eager")
            if name != own
        }
        threads = 1 if self.params.cpu_threads == 2 else 2
        words = f"{threads} thread{'s' * (threads > 1)}"
        return [attention, *([] if gpu else [{words: {"cpu_threads": threads}}])]

    def train(self, job: TrainingJob) -> TrainingResult:
        """Train, and write the adapter in peft's format."""
        before_torch()
        if job.launch is not None and job.launch.size > 1:
            from .distributed.launcher import launch

            return launch(self.params, job, job.launch)
        from .run import run

        return run(self.params, job)

    def metrics_of(self, trace: list[dict[str, Any]]) -> dict[str, float]:
        """Return the metrics that follow from the trace."""
        from .trace_metrics import trace_metrics

        return dict(trace_metrics(trace, best=self.params.metric_for_best_model is not None))

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
            "evals_per_epoch": None,
            "save_steps": self.params.save_steps and 2,
            "saves_per_epoch": None,
            "loss_watchdog_threshold": None,
            "stop_after_steps": self.params.stop_after_steps and 2,
            "max_hours": None,
            "report_to": (),
        }
