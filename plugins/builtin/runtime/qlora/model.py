"""The model under training: load base and adapter, compute the loss, write the adapter."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from khichdi.plugins.toolkit.adapter_files import adapter_tensors, write_adapter
from khichdi.plugins.toolkit.frozen_linear import install
from khichdi.plugins.toolkit.model_loading import best_device, load_model
from khichdi.plugins.toolkit.tensors import digest_of
from khichdi.schema.digest import derive_seed
from khichdi.schema.errors import StepError

from .acceleration.liger import check_liger, use_liger
from .acceleration.torch_compile import check_compiler, compile_parts
from .attention import packed_attention as attention
from .distributed.fsdp import shard
from .loss import Loss
from .memory.activation_checkpointing import Recomputation

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
    _lengths: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        self.causal = self.peft.get_base_model()
        self.loss = Loss(self.causal)
        self.causal.get_input_embeddings().register_forward_hook(self._add_noise)

    def summed_loss(self, batch: MicroBatch) -> torch.Tensor:
        """Return the sum of the losses of the batch's response tokens."""
        hidden = self.hidden(batch).index_select(0, batch.sources)
        return self.loss.summed(hidden, batch.targets)

    def hidden(self, batch: MicroBatch) -> torch.Tensor:
        """Return the last hidden states of a batch on the device, shape (T, d)."""
        self._lengths = batch.lengths
        if self.recomputation is not None:
            self.recomputation.choose(batch.lengths)
        result = self.causal.base_model(
            input_ids=batch.input_ids,
            position_ids=batch.position_ids,
            use_cache=False,
            **attention.segments(batch.cu_seq_lens, batch.lengths),
        )
        hidden: torch.Tensor = result.last_hidden_state[0]
        return hidden

    def _add_noise(self, module: Any, inputs: Any, embedded: torch.Tensor) -> torch.Tensor | None:
        """Put uniform noise of alpha / sqrt(length * d) on each sample's embeddings (NEFTune)."""
        if self.noise_alpha is None or not self.peft.training:
            return None
        lengths = torch.tensor(self._lengths, device=embedded.device)
        per_sample = self.noise_alpha / (lengths * embedded.shape[-1]).float().sqrt()
        scale = per_sample.repeat_interleave(lengths, output_size=embedded.shape[1])
        noise = torch.empty_like(embedded, dtype=torch.float32).uniform_(-1, 1)
        return embedded + (noise * scale[None, :, None]).to(embedded.dtype)

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
    """Load the base with the adapter; check that samples of a pack cannot attend to one another.

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
    name = attention.choose(params.attn_implementation, device, dtype)
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
        raise StepError(f"the adapter does not fit the base: {error}") from error
    job.adapter.initialize(model, job.base)
    digests["initial"] = digest_of(adapter_tensors(model))
    recomputation = None
    if params.gradient_checkpointing:
        offload = params.activation_offloading and device.type == "cuda"
        recomputation = Recomputation(base, int(params.activation_budget_gib * 2**30), offload)
    trained = {n: p for n, p in model.named_parameters() if p.requires_grad}
    trainee = Trainee(
        peft=model,
        device=device,
        attention=name.removeprefix("khichdi-"),
        digests=digests,
        names=list(trained),
        trained=list(trained.values()),
        cached=install(model, dtype, 0 if sharded else int(params.weight_cache_gib * 2**30)),
        recomputation=recomputation,
        kernels=kernels,
    )
    if sharded:
        shard(model, trainee.trained, device)
    with torch.no_grad():
        _check(trainee)
    trainee.noise_alpha = params.neftune_noise_alpha
    return trainee


def _check(trainee: Trainee) -> None:
    """Try two short samples: the first must not move the second, and the logits must be right.

    An architecture can carry something from token to token beside attention, or do more after
    its head than we know of. Both would train, and train something else.
    """
    from .batches import micro_batch

    trainee.peft.eval()
    device = trainee.device
    labels = [[-100] * 3, [-100] * 4]
    one = micro_batch([[1, 2, 3], [4, 5, 6, 7]], labels).to(device)
    other = micro_batch([[8, 3, 9], [4, 5, 6, 7]], labels).to(device)
    hidden = trainee.hidden(one)
    kind = type(trainee.causal).__name__
    if not torch.equal(hidden[3:], trainee.hidden(other)[3:]):
        raise StepError(
            f"samples of a pack see one another in {kind}",
            hint="this architecture cannot be trained on packs yet",
        )
    full = trainee.causal(
        input_ids=one.input_ids,
        position_ids=one.position_ids,
        use_cache=False,
        **attention.segments(one.cu_seq_lens, one.lengths),
    ).logits[0]
    if not torch.allclose(full.float(), trainee.loss.head(hidden), rtol=0.02, atol=0.02):
        raise StepError(
            f"the logits of {kind} are more than its head's output",
            hint="this architecture's last step is not known here yet",
        )
