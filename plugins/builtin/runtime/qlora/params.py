"""Parameters of the `qlora` runtime."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from khichdi.plugins import Params, operational

ROWS_AT_ONCE = 128
"""Tokens whose logits are computed at once; part of the bits, and held from step to step."""


class QloraParams(Params):
    """Training hyperparameters.

    An optimizer step sees micro_batch_size times gradient_accumulation_steps packs.
    """

    micro_batch_size: int = Field(1, ge=1, description="Packs per forward/backward pass.")
    gradient_accumulation_steps: int = Field(
        1, ge=1, description="Micro batches per optimizer step."
    )
    num_epochs: int = Field(1, ge=1, description="Passes over the training set.")
    group_by_length: bool = Field(
        False,
        description=(
            "Group packs of similar length into the same optimizer step, reshuffled each epoch; "
            "for `sample_packing: false`, where a pack is one sample."
        ),
    )
    max_steps: int | None = Field(
        None, ge=1, description="Total optimizer steps; overrides num_epochs."
    )
    optimizer: Literal[
        "adamw_torch",
        "adamw_8bit",
        "adamw_bnb_8bit",
        "paged_adamw_8bit",
        "paged_adamw_32bit",
    ] = Field(
        "adamw_torch",
        description=(
            "Optimizer, by its name in transformers; 8-bit and paged ones are bitsandbytes'. "
            "Nothing is paged on a CPU."
        ),
    )
    learning_rate: float = Field(2e-4, gt=0, description="Peak learning rate.")
    lr_scheduler: Literal["cosine", "linear", "constant"] = Field(
        "cosine", description="Learning-rate schedule after warm-up."
    )
    warmup_steps: int = Field(
        0, ge=0, description="Warm-up: optimizer steps over which the learning rate rises from 0."
    )
    warmup_ratio: float | None = Field(
        None,
        ge=0,
        lt=1,
        description=(
            "Warm-up as a fraction of all optimizer steps, rounded up; instead of `warmup_steps`."
        ),
    )
    weight_decay: float = Field(0.0, ge=0, description="Decoupled weight decay.")
    max_grad_norm: float = Field(
        1.0, ge=0, description="Clip the gradient norm to this; 0 disables clipping."
    )
    adam_beta1: float = Field(
        0.9, ge=0, lt=1, description="Decay rate of the first moment (mean of gradients)."
    )
    adam_beta2: float = Field(
        0.999,
        ge=0,
        lt=1,
        description="Decay rate of the second moment (mean of squared gradients).",
    )
    adam_epsilon: float = Field(
        1e-8, gt=0, description="Epsilon added to the denominator of an update."
    )
    neftune_noise_alpha: float | None = Field(
        None,
        gt=0,
        description=(
            "Scale of the noise added to embeddings in training (NEFTune), for each sample by its "
            "own length; no noise if omitted."
        ),
    )
    gradient_checkpointing: bool = Field(
        False, description="Recompute activations in the backward pass: slower, less memory."
    )
    attn_implementation: Literal["auto", "flash", "sdpa", "eager"] = Field(
        "auto",
        description=(
            "Attention within each sample of a pack: `flash` uses a variable-length kernel where "
            "available (GPU), else runs sample by sample, and `auto` is the same; `sdpa` and "
            "`eager` run sample by sample."
        ),
    )
    torch_compile: bool = Field(
        False,
        description=(
            "Compile norms, the SwiGLU product and rotary embeddings with torch.compile: faster, "
            "different rounding, identical in every process with the same compiler. Needs a C++ "
            "compiler on a CPU, and some seconds at the start."
        ),
    )
    use_liger_kernel: bool = Field(
        False,
        description="Use Liger kernels for norms, SwiGLU and rotary embeddings: faster, different "
        "rounding. Needs an NVIDIA GPU and the package liger-kernel.",
    )
    eval_steps: int | None = Field(
        None, ge=1, description="Optimizer steps between evaluations; once per epoch if omitted."
    )
    metric_for_best_model: Literal["eval_loss"] | None = Field(
        "eval_loss",
        description=(
            "Keep the weights with the lowest validation loss (`eval_loss`), or the last ones "
            "(`null`)."
        ),
    )
    early_stopping_patience: int | None = Field(
        None,
        ge=1,
        description=(
            "Early stopping: end training after this many evaluations in a row without a lower "
            "validation loss, and keep the best weights. Disabled if omitted."
        ),
    )
    max_hours: float | None = Field(
        None,
        gt=0,
        description=(
            "Time limit for training, including loading and evaluation: training ends with its "
            "best weights before the limit would be exceeded. Where it ends depends on the "
            "machine: the record has the step, and `stop_after_steps` reproduces the same bits."
        ),
    )
    stop_after_steps: int | None = Field(
        None,
        ge=1,
        description=(
            "Stop after this many optimizer steps, with the learning-rate schedule of the full "
            "training (`max_steps` shortens the schedule too)."
        ),
    )
    replay_segments: int = Field(
        4,
        ge=1,
        le=256,
        description=(
            "Number of equal segments that an audit can replay one by one. The state at the end of "
            "each is hashed into the result, and all but the last are kept, each three times the "
            "size of the adapter."
        ),
    )
    determinism: Literal["strict", "fast"] = Field(
        "strict",
        description="`strict`: bit-identical on the same kind of machine. `fast` allows a GPU's "
        "nondeterministic kernels, TF32 as torch sets it, and autotuning: the seed still fixes "
        "order, dropout and noise, but bits and the result hash may differ between runs.",
    )
    cpu_threads: int = Field(
        2,
        ge=1,
        le=256,
        description="CPU threads. The environment is ignored, because rounding depends on them.",
    )
    save_steps: int | None = operational(
        None,
        ge=1,
        description="Optimizer steps between checkpoints; after each evaluation if omitted.",
    )
    save_total_limit: int = operational(
        2, ge=1, description="Checkpoints to keep during training; each includes the best weights."
    )
    dataloader_num_workers: int = operational(
        1, ge=0, le=64, description="Threads that prefetch batches."
    )
    report_to: tuple[Literal["tensorboard", "wandb", "mlflow", "trackio"], ...] = operational(
        (),
        description=(
            "Trackers to log each step to, by their names in transformers, whose callbacks are "
            "used. All but `tensorboard` are configured by their own environment variables, such "
            "as WANDB_PROJECT or MLFLOW_TRACKING_URI."
        ),
    )
    logging_dir: str = operational(
        "tracking",
        min_length=1,
        description="Folder for `tensorboard` logs, one subfolder per training.",
    )
    weight_cache_gib: float = operational(
        1.0,
        ge=0,
        description="Memory, in GiB, for cached dequantized base weights (faster, bit-identical).",
    )
    activation_budget_gib: float = operational(
        0.0,
        ge=0,
        description=(
            "With `gradient_checkpointing`: memory, in GiB, for activations that are kept. As many "
            "of the last layers as fit are not recomputed (faster, bit-identical)."
        ),
    )
    activation_offloading: bool = operational(
        False,
        description=(
            "With `gradient_checkpointing` on a GPU: offload the inputs of recomputed layers to "
            "CPU memory (less GPU memory, bit-identical)."
        ),
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
                "`warmup_steps` and `warmup_ratio` both set the warm-up: leave one of them out"
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
