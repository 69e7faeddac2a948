"""The parameters of the `qlora` runtime."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from khichdi.plugins import (
    Params,
    Replay,
    Runtime,
    TrainingJob,
    TrainingResult,
    TrainingSegment,
    operational,
)
from khichdi.plugins.toolkit.torch_environment import before_torch


class QloraParams(Params):
    """How an adapter is trained.

    An optimizer step sees micro_batch_size times gradient_accumulation_steps packs.
    """

    micro_batch_size: int = Field(1, ge=1, description="Packs that are calculated at once.")
    gradient_accumulation_steps: int = Field(
        1, ge=1, description="Micro batches of an optimizer step."
    )
    num_epochs: int = Field(1, ge=1, description="How often every pack is seen.")
    group_by_length: bool = Field(
        False,
        description="Put packs of like length into the same optimizer step, drawn anew each epoch; "
        "for `sample_packing: false`, where a pack is a sample.",
    )
    max_steps: int | None = Field(
        None, ge=1, description="Optimizer steps in all; goes before num_epochs where given."
    )
    optimizer: Literal[
        "adamw_torch",
        "adamw_8bit",
        "adamw_bnb_8bit",
        "paged_adamw_8bit",
        "paged_adamw_32bit",
    ] = Field(
        "adamw_torch",
        description="Optimizer, by its name in transformers; those with 8 bits and the paged ones "
        "are bitsandbytes'. On a CPU nothing is paged.",
    )
    learning_rate: float = Field(2e-4, gt=0, description="Highest learning rate.")
    lr_scheduler: Literal["cosine", "linear", "constant"] = Field(
        "cosine", description="How the learning rate goes on after the warm-up."
    )
    warmup_steps: int = Field(
        0, ge=0, description="Optimizer steps over which the learning rate rises from 0."
    )
    warmup_ratio: float | None = Field(
        None,
        ge=0,
        lt=1,
        description="The part of all optimizer steps over which the learning rate rises, rounded "
        "up; in place of `warmup_steps`.",
    )
    weight_decay: float = Field(0.0, ge=0, description="Decoupled weight decay.")
    max_grad_norm: float = Field(
        1.0, ge=0, description="Gradients longer than this are cut to it; 0 never cuts."
    )
    adam_beta1: float = Field(0.9, ge=0, lt=1, description="Decay of the mean of gradients.")
    adam_beta2: float = Field(0.999, ge=0, lt=1, description="Decay of the mean of squares.")
    adam_epsilon: float = Field(1e-8, gt=0, description="Added to the divisor of an update.")
    neftune_noise_alpha: float | None = Field(
        None,
        gt=0,
        description="Scale of the noise put on embeddings in training (NEFTune), for each sample "
        "by its own length; none where left out.",
    )
    gradient_checkpointing: bool = Field(
        False, description="Recompute activations in the backward pass: slower, less memory."
    )
    attn_implementation: Literal["auto", "flash", "sdpa", "eager"] = Field(
        "auto",
        description="Attention inside each sample of a pack: `flash` is a kernel for samples of "
        "many lengths where there is one (GPU), else sample by sample, and `auto` the same; "
        "`sdpa` and `eager` go sample by sample.",
    )
    torch_compile: bool = Field(
        False,
        description="Compile norms, the product of SwiGLU and rotary embeddings: faster, other "
        "rounding, the same in every process with the same compiler. Needs a C++ compiler on a "
        "CPU, and some seconds at the start.",
    )
    use_liger_kernel: bool = Field(
        False,
        description="Liger's kernels for norms, SwiGLU and rotary embeddings: faster, other "
        "rounding. For NVIDIA GPUs, with the package liger-kernel.",
    )
    eval_steps: int | None = Field(
        None, ge=1, description="Optimizer steps between evaluations; each epoch's end if left out."
    )
    metric_for_best_model: Literal["eval_loss"] | None = Field(
        "eval_loss",
        description="Keep the weights with the lowest loss on held-out rows; `null`: the last.",
    )
    early_stopping_patience: int | None = Field(
        None,
        ge=1,
        description="Evaluations in a row that may bring no lower loss on held-out rows; then "
        "training ends, with the best weights. Never, if left out.",
    )
    max_hours: float | None = Field(
        None,
        gt=0,
        description="Time for training, loading and evaluations included: before it would be "
        "exceeded, training ends with its best weights. Where the clock ends it is no function of "
        "the recipe: the record says after which step, and `stop_after_steps` gives the same bits.",
    )
    stop_after_steps: int | None = Field(
        None,
        ge=1,
        description="Optimizer steps after which training ends, while learning rates go as if it "
        "went on (`max_steps` shortens their course too).",
    )
    replay_segments: int = Field(
        4,
        ge=1,
        le=256,
        description="Parts of like length that an audit can execute again one by one. The state at "
        "the end of each is hashed into the result, and all but the last are kept: each is three "
        "times as large as the adapter.",
    )
    determinism: Literal["strict", "fast"] = Field(
        "strict",
        description="`strict`: the same bits again on the same kind of machine. `fast` lets a "
        "GPU's kernels add in any order, round to TF32 as torch does by itself, and be chosen by "
        "trial: the seed still decides order, dropout and noise, but bits and the result hash need "
        "not come again.",
    )
    cpu_threads: int = Field(
        2,
        ge=1,
        le=256,
        description="Threads on a CPU, whatever the environment says: rounding depends on them.",
    )
    save_steps: int | None = operational(
        None,
        ge=1,
        description="Optimizer steps between checkpoints; after each evaluation if left out.",
    )
    save_total_limit: int = operational(
        2, ge=1, description="Checkpoints that are kept while training; each has the best weights."
    )
    dataloader_num_workers: int = operational(
        1, ge=0, le=64, description="Threads that prepare batches ahead."
    )
    report_to: tuple[Literal["tensorboard", "wandb", "mlflow", "trackio"], ...] = operational(
        (),
        description="Trackers that are shown each step, by their names in transformers, whose "
        "callbacks they are. All but `tensorboard` are set up by their own environment variables, "
        "such as WANDB_PROJECT or MLFLOW_TRACKING_URI.",
    )
    logging_dir: str = operational(
        "tracking",
        min_length=1,
        description="Folder in which `tensorboard` gets a folder for each training.",
    )
    weight_cache_gib: float = operational(
        1.0,
        ge=0,
        description="Memory, in GiB, for base weights that are kept unpacked: faster, same bits.",
    )
    activation_budget_gib: float = operational(
        0.0,
        ge=0,
        description="With `gradient_checkpointing`, memory, in GiB, for activations of layers: the "
        "last ones that fit keep theirs and are not recomputed: faster, same bits.",
    )
    activation_offloading: bool = operational(
        False,
        description="With `gradient_checkpointing` on a GPU, hold the inputs of recomputed layers "
        "in the CPU's memory: less memory on the GPU, same bits.",
    )

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.early_stopping_patience and self.metric_for_best_model is None:
            raise ValueError(
                "`early_stopping_patience` waits for better weights, and `metric_for_best_model: "
                "null` keeps none: leave one of them out"
            )
        if self.torch_compile and self.use_liger_kernel:
            raise ValueError(
                "`torch_compile` and `use_liger_kernel` replace the same parts: leave one of them "
                "out"
            )
        if self.warmup_ratio is not None and self.warmup_steps:
            raise ValueError(
                "`warmup_steps` and `warmup_ratio` say the same: leave one of them out"
            )
        return self

    @model_validator(mode="after")
    def _recomputes(self) -> Self:
        if self.gradient_checkpointing:
            return self
        for name in ("activation_budget_gib", "activation_offloading"):
            if getattr(self, name):
                raise ValueError(
                    f"`{name}` is about layers that are recomputed, and "
                    "`gradient_checkpointing: false` recomputes none: leave one of them out"
                )
        return self

    @model_validator(mode="after")
    def _ends_after_it_begins(self) -> Self:
        if self.max_steps is None:
            return self
        for name in ("warmup_steps", "eval_steps", "save_steps", "stop_after_steps"):
            steps = getattr(self, name)
            if steps is not None and steps > self.max_steps:
                raise ValueError(f"`{name}` is {steps}, and `max_steps` ends at {self.max_steps}")
        return self


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
        from .trainer import run

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
            "save_steps": self.params.save_steps and 2,
            "stop_after_steps": self.params.stop_after_steps and 2,
            "max_hours": None,
            "report_to": (),
        }
