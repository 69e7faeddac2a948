"""The model under training: load base and adapter, compute the loss, write the adapter."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from khichdi.plugins.toolkit.adapter_files import adapter_tensors, write_adapter
from khichdi.plugins.toolkit.frozen_linear import install
from khichdi.plugins.toolkit.model_loading import base_config, best_device, load_model
from khichdi.plugins.toolkit.tensors import digest_of
from khichdi.schema.digest import derive_seed
from khichdi.schema.errors import StepError

from .acceleration.liger import check_liger, use_liger
from .acceleration.torch_compile import check_compiler, compile_parts
from .attention import packed_attention as attention
from .bases import support
from .checks import check_model
from .distributed.fsdp import shard
from .forward import Forward, Layout
from .loss import Loss
from .memory.activation_checkpointing import Recomputation
from .router_loss import RouterLoss
from .whole_modules import check_added_tokens, hold_in_float32

if TYPE_CHECKING:
    from khichdi.plugins.kinds import TrainingJob

    from .batches import MicroBatch
    from .params import QloraParams


@dataclass
class Trainee:
    """A model with an adapter, ready to train.

    Attributes:
        peft: the peft model.
        device: where it is.
        attention: name of the attention in use.
        digests: of the base as it is stored, and of the adapter before training.
        names: of the trained parameters, in the order of `trained`.
        trained: the trained parameters, float32.
        cached: bytes of base weights that are kept unpacked.
        recomputation: which layers recompute, with gradient checkpointing.
        kernels: what made the kernels in place of the model's own, with versions.
    """

    peft: Any
    device: torch.device
    attention: str
    digests: dict[str, str]
    names: list[str]
    trained: list[torch.nn.Parameter]
    cached: int = 0
    recomputation: Recomputation | None = None
    kernels: dict[str, str] = field(default_factory=dict)
    noise_alpha: float | None = None
    layout: Layout = "packed"
    router_loss: RouterLoss | None = None
    causal: Any = field(init=False)
    forward: Forward = field(init=False)
    loss: Loss = field(init=False)

    def __post_init__(self) -> None:
        self.causal = self.peft.get_base_model()
        self.forward = Forward(self.causal, self.layout)
        self.loss = Loss(self.causal)
        self.causal.get_input_embeddings().register_forward_hook(self._add_noise)

    def summed_loss(self, batch: MicroBatch) -> torch.Tensor:
        """Return the sum of the losses of the batch's response tokens."""
        hidden = self.hidden(batch).index_select(0, batch.sources)
        return self.loss.summed(hidden, batch.targets)

    def hidden(self, batch: MicroBatch) -> torch.Tensor:
        """Return what the loss reads of a batch on the device, a row for each of its tokens."""
        if self.recomputation is not None:
            self.recomputation.choose(batch.lengths)
        return self.forward(batch)

    def _add_noise(self, module: Any, inputs: Any, embedded: torch.Tensor) -> torch.Tensor | None:
        """Put uniform noise of alpha / sqrt(length * d) on each sample's embeddings (NEFTune)."""
        if self.noise_alpha is None or not self.peft.training:
            return None
        lengths = torch.tensor(self.forward.rows, device=embedded.device)  # (rows, samples of each)
        per_sample = self.noise_alpha / (lengths * embedded.shape[-1]).float().sqrt()
        if self.layout == "packed":
            per_sample = per_sample[0].repeat_interleave(lengths[0], output_size=embedded.shape[1])
            per_sample = per_sample[None]
        noise = torch.empty_like(embedded, dtype=torch.float32).uniform_(-1, 1)
        return embedded + (noise * per_sample[..., None]).to(embedded.dtype)

    def snapshot(self) -> dict[str, torch.Tensor]:
        """Return a copy of the trained tensors on the CPU."""
        pairs = zip(self.names, self.trained, strict=True)
        return {name: p.detach().to("cpu", copy=True) for name, p in pairs}

    def restore(self, tensors: dict[str, torch.Tensor]) -> None:
        """Put a snapshot back."""
        with torch.no_grad():
            for name, parameter in zip(self.names, self.trained, strict=True):
                parameter.copy_(tensors[name])

    def write(self, folder: Path, base_name: str) -> None:
        """Write the adapter in peft's format; the same bytes for the same weights."""
        write_adapter(self.peft, folder, base_name)


def build(params: QloraParams, job: TrainingJob, sharded: bool = False) -> Trainee:
    """Load the base with the adapter; check that samples of a batch cannot attend to one another.

    Where it is sharded, each process loads the base to the CPU, and keeps its part of it.

    Raises:
        StepError: the model cannot be loaded, adapted or trained on packs.
    """
    from peft import get_peft_model

    dtype = getattr(torch, job.quantizer.dtype())
    device = best_device()
    kernels = check_compiler(device) if params.torch_compile else {}
    if params.use_liger_kernel:
        check_liger(device)
    layout, name = _layout(params, job, device, dtype)
    if sharded and job.quantizer.experts() is not None:
        raise StepError(
            "quantized experts cannot be divided over processes",
            hint="leave strategy=fsdp out, or `experts: true`",
        )
    place = torch.device("cpu") if sharded else device
    base = load_model(job.base, job.quantizer, attn_implementation=name, device=place)
    if params.use_liger_kernel:
        kernels = use_liger(base)
    elif params.torch_compile:
        compile_parts(base, params.cpu_threads)
    digests = {"quantized": digest_of(base.state_dict())}
    torch.manual_seed(derive_seed(job.seed, "adapter"))
    try:
        model = get_peft_model(base, job.adapter.config(base))
    except ValueError as error:
        hint = (
            "experts take no dropout: write `dropout: 0`" if "lora_dropout" in str(error) else None
        )
        raise StepError(f"the adapter does not fit the base: {error}", hint=hint) from error
    job.adapter.initialize(model, job.base)
    check_added_tokens(model, job.base)
    hold_in_float32(model)
    digests["initial"] = digest_of(adapter_tensors(model))
    recomputation = None
    if params.gradient_checkpointing:
        offload = params.activation_offloading and device.type == "cuda"
        recomputation = Recomputation(base, int(params.activation_budget_gib * 2**30), offload)
    trained = {n: p for n, p in model.named_parameters() if p.requires_grad}
    trainee = Trainee(
        peft=model,
        device=device,
        attention=_attention_name(base, layout),
        digests=digests,
        names=list(trained),
        trained=list(trained.values()),
        cached=install(model, dtype, 0 if sharded else int(params.weight_cache_gib * 2**30)),
        recomputation=recomputation,
        kernels=kernels,
        layout=layout,
    )
    if sharded:
        shard(model, trainee.trained, device)
    check_model(trainee)
    trainee.noise_alpha = params.neftune_noise_alpha
    if params.output_router_logits:
        trainee.router_loss = RouterLoss(trainee.causal, trainee.forward)
    return trainee


def _layout(
    params: QloraParams, job: TrainingJob, device: torch.device, dtype: torch.dtype
) -> tuple[Layout, str | None]:
    """Return how samples lie before the model, and the attention to load it with.

    Raises:
        StepError: the base is of a type that is not trained.
    """
    config = base_config(job.base)
    found = support(config, params, job.quantizer) if config else None
    if found is not None and found.layout == "refused":
        raise StepError(f"the base cannot be trained: {found.reason}", hint=found.hint)
    if found is None or found.layout == "packed":
        return "packed", attention.choose(params.attn_implementation, device, dtype)
    asked = params.attn_implementation
    return "unpacked", "eager" if asked == "eager" else None


def _attention_name(base: Any, layout: Layout) -> str:
    own = str(base.config._attn_implementation).removeprefix("khichdi-")
    return own if layout == "packed" else f"unpacked-{own}"
