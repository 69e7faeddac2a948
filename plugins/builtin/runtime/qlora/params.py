"""Parameters of the `qlora` runtime."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from annotated_types import Ge, Gt, Lt
from pydantic import Field, model_validator

from khichdi.plugins import Params, later, operational

ROWS_AT_ONCE = 128
"""Tokens whose logits are computed at once; part of the bits, and held from step to step."""

Steps = Annotated[int, Ge(1)] | Annotated[float, Gt(0), Lt(1)]
"""A number of optimizer steps; below 1, a share of all of them."""
Argument = Literal[
    "min_lr", "min_lr_rate", "num_cycles", "lr_end", "power", "timescale", "num_decay_steps",
    "min_lr_ratio",
]  # fmt: skip
SCHEDULER_KWARGS: dict[str, set[Argument]] = {
    "cosine_with_min_lr": {"min_lr", "min_lr_rate", "num_cycles"},
    "cosine_with_restarts": {"num_cycles"},
    "polynomial": {"lr_end", "power"},
    "inverse_sqrt": {"timescale"},
    "warmup_stable_decay": {"num_decay_steps", "min_lr_ratio", "num_cycles"},
}
"""The arguments of schedules that have any, by their names in transformers."""


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
        "adamw_torch_8bit",
        "adamw_torch_4bit",
        "paged_adamw_8bit",
        "paged_adamw_32bit",
    ] = Field(
        "adamw_torch",
        description=(
            "Optimizer, by its name in transformers; 8-bit and paged ones are bitsandbytes', "
            "`adamw_torch_8bit` and `adamw_torch_4bit` torchao's (extra `torchao`). Nothing is "
            "paged on a CPU."
        ),
    )
    learning_rate: float = Field(2e-4, gt=0, description="Peak learning rate.")
    loraplus_lr_ratio: float | None = later(
        None,
        gt=0,
        description=(
            "LoRA+: the learning rate of the adapter's B matrices, as a multiple of "
            "`learning_rate`; the same for all if omitted."
        ),
    )
    lr_scheduler: Literal[
        "cosine",
        "linear",
        "constant",
        "cosine_with_min_lr",
        "cosine_with_restarts",
        "polynomial",
        "inverse_sqrt",
        "warmup_stable_decay",
    ] = Field(
        "cosine",
        description="Learning-rate schedule after warm-up, by its name in transformers.",
    )
    lr_scheduler_kwargs: dict[Argument, int | float] = later(
        {},
        description=(
            "Arguments of the schedule, by their names in transformers: `{min_lr_rate: 0.1}` for "
            "`cosine_with_min_lr`."
        ),
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
    output_router_logits: bool = later(
        False,
        description=(
            "Train with the load-balancing loss of a mixture's routers beside the loss on tokens, "
            "weighed by the base's `router_aux_loss_coef`; the losses reported are without it."
        ),
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
    eval_steps: Steps | None = Field(
        None,
        description=(
            "Optimizer steps between evaluations; below 1, a share of all steps. Once per epoch if "
            "omitted."
        ),
    )
    evals_per_epoch: int | None = later(
        None, ge=1, description="Evaluations per epoch; instead of `eval_steps`."
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
    loss_watchdog_threshold: float | None = later(
        None,
        gt=0,
        description=(
            "Loss watchdog: end training where the loss is above this for "
            "`loss_watchdog_patience` steps in a row. Disabled if omitted."
        ),
    )
    loss_watchdog_patience: int = later(
        3, ge=1, description="Steps in a row above `loss_watchdog_threshold` that end training."
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
    save_steps: Steps | None = operational(
        None,
        description=(
            "Optimizer steps between checkpoints; below 1, a share of all steps. After each "
            "evaluation if omitted."
        ),
    )
    saves_per_epoch: int | None = operational(
        None, ge=1, description="Checkpoints per epoch; instead of `save_steps`."
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
        for steps, times in (("eval_steps", "evals_per_epoch"), ("save_steps", "saves_per_epoch")):
            if getattr(self, steps) is not None and getattr(self, times) is not None:
                raise ValueError(f"`{steps}` and `{times}` say the same: leave one of them out")
        return self

    @model_validator(mode="after")
    def _the_schedule_takes_its_arguments(self) -> Self:
        known: set[Argument] = SCHEDULER_KWARGS.get(self.lr_scheduler, set())
        for name in self.lr_scheduler_kwargs:
            if name not in known:
                has = f"it has {', '.join(sorted(known))}" if known else "it has none"
                raise ValueError(f"`{self.lr_scheduler}` has no argument `{name}`: {has}")
        given = known & {"min_lr", "min_lr_rate"} & self.lr_scheduler_kwargs.keys()
        if self.lr_scheduler == "cosine_with_min_lr" and len(given) != 1:
            raise ValueError(
                "`cosine_with_min_lr` needs one of `min_lr` and `min_lr_rate` in "
                "`lr_scheduler_kwargs`"
            )
        needs_decay = self.lr_scheduler == "warmup_stable_decay"
        if needs_decay and "num_decay_steps" not in self.lr_scheduler_kwargs:
            raise ValueError(
                "`warmup_stable_decay` needs `num_decay_steps` in `lr_scheduler_kwargs`"
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
        for name in ("warmup_steps", "eval_steps", "stop_after_steps"):
            steps = getattr(self, name)
            if steps is not None and steps > self.max_steps:
                raise ValueError(f"`{name}` is {steps}, and `max_steps` ends at {self.max_steps}")
        return self
