"""Estimate the memory that the `qlora` runtime allocates, by part, before it trains.

A change to the tensors that the runtime holds must change this too. Each formula is explained in
docs/estimates.md; tests hold them against the tensors that are alive while it trains.
"""

from __future__ import annotations

from dataclasses import replace
from math import ceil
from typing import Any

from khichdi.plugins import Account, AccountError, Work, Workload
from khichdi.plugins.builtin.adapter.lora import Lora, LoraParams
from khichdi.schema.architecture import BYTES, Linear
from khichdi.schema.device import Device
from khichdi.schema.estimate import Memory, Saving

from ..params import ROWS_AT_ONCE, QloraParams
from ..training_time import flops_per_token
from ..training_time import seconds as seconds_at
from .launched import of_one_process

MOMENTS_BLOCK = 256
"""Elements that share a scale in bitsandbytes' 8-bit moments."""
LEAST_8BIT = 4096
"""Elements of a tensor below which bitsandbytes keeps its moments in 32 bits."""
LEAST_PAGED = 100_000
"""Elements of a tensor below which bitsandbytes does not page its moments."""
LOGIT_BYTES = 8
"""Of a logit, in float32: its log-softmax and then its gradient, and the loss's gradient; one more
is in the compute type. They are held from step to step."""
CONTEXT = 600 << 20
"""CUDA's context, loaded kernels and cuBLAS' work space."""
PROCESS = 550 << 20
"""A process on a CPU with its libraries."""
FRAGMENTED = 0.05
"""Share of activations that CUDA's allocator holds beyond what is asked of it."""
HEAP, HEAP_AGAIN = 64 << 20, 160 << 20
"""Memory that a CPU's allocator holds beyond requests, where that is much: without and
with layers that recompute, which leave smaller holes."""


def account(params: QloraParams, workload: Workload) -> Account:
    """Return the account of a training.

    Raises:
        AccountError: quantizer or adapter are not accounted for; names it.
    """
    trained = sum(shapes_of(workload))
    activations = _Activations(params, workload)
    segments = min(params.replay_segments, workload.steps or params.replay_segments)
    return Account(
        memory=of_one_process(memory(params, workload), workload, trained),
        stored_layers=activations.stored,
        flops_per_token=flops_per_token(workload, trained, activations.recomputed),
        # Each has the adapter, the best one so far and both moments; one more is being written.
        checkpoint_bytes=(params.save_total_limit + 1) * 16 * trained,
        # A state has the adapter and both moments; the last one's is not kept.
        state_bytes=(segments - 1) * 12 * trained,
        savings=savings(params, workload),
    )


def seconds(params: QloraParams, workload: Workload, device: Device, work: Work) -> float:
    """Return how long a training takes on a device.

    Raises:
        AccountError: quantizer or adapter are not accounted for; names it.
    """
    activations = _Activations(params, workload)
    recomputed = activations.recomputed
    return seconds_at(
        params,
        workload,
        device,
        work,
        operations=flops_per_token(workload, sum(shapes_of(workload)), recomputed),
        recomputed=recomputed,
        packed=is_packed(workload),
    )


def lora_of(workload: Workload) -> LoraParams:
    """Return the parameters of the adapter, which must be LoRA as its activations are known.

    Raises:
        AccountError: it is another adapter, or DoRA.
    """
    adapter = workload.adapter
    if not isinstance(adapter, Lora):
        raise AccountError(f"there is no account of adapter `{adapter.name}`")
    if adapter.params.use_dora:
        raise AccountError("there is no account of what DoRA keeps for its backward pass")
    return adapter.params


def shapes_of(workload: Workload) -> list[int]:
    """Return the number of elements of each trained tensor."""
    lora_of(workload)
    return workload.adapter.trained_shapes(workload.architecture) or []


def stored_bytes(workload: Workload, linear: Linear) -> int:
    """Return the bytes of a linear weight as the quantizer stores it."""
    found = workload.quantizer.stored_bytes(linear)
    if found is None:
        raise AccountError(f"there is no account of quantizer `{workload.quantizer.name}`")
    return found


def is_packed(workload: Workload) -> bool:
    """Return whether weights are stored in fewer bits than they are computed in."""
    width = BYTES[workload.quantizer.dtype()]
    linears = workload.architecture.linears
    return any(stored_bytes(workload, x) != x.weights * width for x in linears)


def memory(params: QloraParams, workload: Workload) -> Memory:
    """Return the memory of a training at its peak, by part."""
    architecture, gpu = workload.architecture, workload.gpu
    if architecture.experts and workload.quantizer.experts() is not None:
        raise AccountError("there is no account of quantized experts")
    width = BYTES[workload.quantizer.dtype()]
    shapes = shapes_of(workload)
    stored = sum(
        stored_bytes(workload, linear) * len(architecture.numbers(linear))
        for linear in architecture.linears
    )
    optimizer, paged = _moments(shapes, params.optimizer, gpu)
    activations = _Activations(params, workload)
    held, work = activations.held, activations.work
    logits = _logits(params, workload, work)
    dense = max(linear.weights for linear in architecture.linears) * width
    spare = FRAGMENTED * (held + work)
    if not gpu:
        heap = HEAP if activations.stored == architecture.layers else HEAP_AGAIN
        spare = min(heap, held + work + logits)
    process = CONTEXT if gpu else PROCESS
    return Memory(
        weights=stored + architecture.small_parameters * width,
        embeddings=architecture.embedding_weights * width,
        unpacked=_unpacked(params, workload, width),
        adapter=4 * sum(shapes),
        gradients=4 * sum(shapes),
        optimizer=optimizer,
        activations=held + work,
        logits=logits,
        workspace=int(process + spare)
        + (dense if is_packed(workload) else 0)
        + _trained_tables(workload) * 2 * architecture.vocab * architecture.hidden * width,
        paged=paged,
        process=process,
        spare=int(spare),
    )


def _trained_tables(workload: Workload) -> int:
    """Return how many tables of tokens are trained, in full or in rows.

    Of each there is a copy with what is trained in it, and its gradient, in the compute type.
    """
    params, architecture = lora_of(workload), workload.architecture
    ids = params.trainable_token_indices
    rows = architecture.added_tokens if ids == "added" else len(ids)
    by_row = (1 if architecture.tied else 2) if rows else 0
    return by_row + len(architecture.whole_modules(params.modules_to_save) or ())


def _logits(params: QloraParams, workload: Workload, work: int) -> int:
    """Return the bytes of the last hidden states and of the logits of one chunk.

    The last hidden states and the backward pass of a layer, which needs `work`, take turns: only
    the excess counts.
    """
    architecture, width = workload.architecture, BYTES[workload.quantizer.dtype()]
    hidden = architecture.hidden * params.micro_batch_size * workload.sequence_len
    last = hidden * (4 + width) + ceil(hidden * workload.trained_share) * width
    chunk = ROWS_AT_ONCE * architecture.vocab * (LOGIT_BYTES + width)
    return chunk + max(0, last - work)


def savings(params: QloraParams, workload: Workload) -> tuple[Saving, ...]:
    """Return changes of the recipe that take less memory, the largest saving first."""
    before = memory(params, workload).total
    found = []
    for text, change in _changes(params, workload.gpu):
        less = memory(params.model_copy(update=change), workload).total
        found.append((next(iter(change)), text, before - less))
    half = workload.sequence_len // 2
    shorter = replace(workload, sequence_len=half, sample=min(workload.sample, half))
    less = memory(params, shorter).total
    found.append(("sequence_len", f"sequence_len: {half}", before - less))
    return tuple(
        Saving(path=("train", name), change=text, saves_bytes=saved)
        for name, text, saved in sorted(found, key=lambda one: -one[2])
        if saved > 0
    )


def _changes(params: QloraParams, gpu: bool) -> list[tuple[str, dict[str, Any]]]:
    """Return changes of parameters that may take less memory, each with its text."""
    changes: list[tuple[str, dict[str, Any]]] = []
    if params.micro_batch_size > 1:
        accumulate = params.gradient_accumulation_steps * params.micro_batch_size
        text = f"micro_batch_size: 1 with gradient_accumulation_steps: {accumulate}"
        changes.append((text, {"micro_batch_size": 1}))
    if not params.gradient_checkpointing:
        changes.append(("gradient_checkpointing: true", {"gradient_checkpointing": True}))
    elif params.activation_budget_gib > 0:
        changes.append(("activation_budget_gib: 0", {"activation_budget_gib": 0.0}))
    if params.gradient_checkpointing and gpu and not params.activation_offloading:
        changes.append(("activation_offloading: true", {"activation_offloading": True}))
    if params.weight_cache_gib > 0:
        changes.append(("weight_cache_gib: 0", {"weight_cache_gib": 0.0}))
    if not params.optimizer.endswith(("8bit", "4bit")):
        changes.append(("optimizer: paged_adamw_8bit", {"optimizer": "paged_adamw_8bit"}))
    return changes


def _moments(shapes: list[int], optimizer: str, gpu: bool) -> tuple[int, int]:
    """Return the bytes of both moments of Adam, and how many of them are paged."""
    total = paged = 0
    for elements in shapes:
        size = 8 * elements
        if optimizer == "adamw_torch_4bit":
            if elements >= LEAST_8BIT and elements % 128 == 0:
                size = 2 * (elements // 2 + 4 * elements // 128)
        elif optimizer == "adamw_torch_8bit" and elements % MOMENTS_BLOCK:
            pass  # torchao keeps what does not fill its blocks in 32 bits
        elif optimizer.endswith("8bit") and elements >= LEAST_8BIT:
            size = 2 * (elements + 4 * ceil(elements / MOMENTS_BLOCK))
        total += size
        if optimizer.startswith("paged") and gpu and elements >= LEAST_PAGED:
            paged += size
    return total, paged


def _unpacked(params: QloraParams, workload: Workload, width: int) -> int:
    """Return the bytes that are kept unpacked: modules in order, for as long as they fit."""
    if not is_packed(workload):
        return 0
    limit, kept = int(params.weight_cache_gib * 2**30), 0
    architecture = workload.architecture
    for number in range(architecture.layers):
        for linear in architecture.linears:
            if number not in architecture.numbers(linear):
                continue
            if linear.weights * width <= limit - kept:
                kept += linear.weights * width
    return kept


class _Activations:
    """Activations held between forward and backward.

    Attributes:
        held: bytes kept over all layers: their inputs with checkpointing, else everything.
        work: bytes that the backward pass needs on top.
        stored: layers that keep everything.
    """

    def __init__(self, params: QloraParams, workload: Workload) -> None:
        self.architecture, self.gpu = workload.architecture, workload.gpu
        self.width = BYTES[workload.quantizer.dtype()]
        self.lora = lora_of(workload)
        self.adapted = self.architecture.modules(self.lora.target_modules)
        name = params.attn_implementation
        self.written_out = name == "eager" or (not self.gpu and name in ("auto", "flash"))
        # Rows of a batch without packing are as long as they may be; in a pack, as they are; and
        # a wrapped pack is one sample.
        apart = workload.sample_packing and workload.packing_strategy == "bfd"
        self.sample = workload.sample if apart else float(workload.sequence_len)
        self.stored = self.architecture.layers
        tokens = params.micro_batch_size * workload.sequence_len
        if params.gradient_checkpointing:
            layer = tokens * (self._attention() + self._mlp())
            budget = params.activation_budget_gib * 2**30
            self.stored = min(self.architecture.layers, int(budget / layer))
        self.held, self.work = self._split(tokens, self.gpu and params.activation_offloading)

    @property
    def recomputed(self) -> float:
        """Return the share of layers whose activations are recomputed in the backward pass."""
        return 1 - self.stored / self.architecture.layers

    def _split(self, tokens: int, offloaded: bool) -> tuple[int, int]:
        """Return `held` and `work`; the last layers keep everything, the others their inputs."""
        attention, mlp = self._attention(), self._mlp()
        d, f, c = self.architecture.hidden, self.architecture.intermediate, self.width
        after = max(attention + self._attention_work(), attention + mlp + c * (2 * f + 2 * d))
        again = self.architecture.layers - self.stored
        # On their way to the CPU and back, the inputs of two layers are on the device.
        held = (min(again, 2) if offloaded else again) * c * d
        if not self.stored:
            return tokens * held, int(tokens * after)
        # What the first layer does before its first LoRA module has no gradient.
        start = any(linear.reads == "attention" for linear in self.adapted)
        none = 0.0 if again else (4 * d + 4 if start else attention)
        whole = self.stored * (attention + mlp) - none
        # What a node of the graph has saved is freed after it, so one more tensor is alive. When
        # layers that recompute have their turn, those that keep everything are done.
        work = max(after - attention - mlp + c * f, after - whole if again else 0.0)
        return int(tokens * (held + whole)), int(tokens * work)

    def _read(self, *tensors: str) -> float:
        """Return the bytes per token that LoRA keeps of what its modules read."""
        total = 0.0
        drops = self.lora.dropout > 0
        mask = 1 if self.gpu else self.width  # CUDA's dropout keeps a byte for each element
        for tensor in tensors:
            readers = [linear for linear in self.adapted if linear.reads == tensor]
            if readers:
                copies = len(readers) if drops else 1
                total += copies * readers[0].inputs * (self.width + (mask if drops else 0))
            total += len(readers) * self.lora.r * self.width
        return total

    def _attention(self) -> float:
        """Return the bytes per token that a layer's attention keeps."""
        a, c = self.architecture, self.width
        q, kv = a.heads * a.head_dim, a.kv_heads * a.head_dim
        norm = 4 * a.hidden + 4  # a norm works in float32
        if self.written_out:  # query and key in float32, value, scores twice
            own = 4 * (q + kv) + c * kv + self.sample * a.heads * (4 + c)
        else:  # query, key, value, what comes out, and a sum for each head
            own = c * (2 * q + 2 * kv) + 4 * a.heads
        if a.qk_norm:
            own += 4 * (q + kv)
        shared = self.lora.dropout == 0 and any(x.reads == "context" for x in self.adapted)
        # What comes out of attention is kept by attention already, and LoRA reads the same.
        again = c * q if shared and not self.written_out else 0
        return norm + own + self._read("attention", "context") - again

    def _attention_work(self) -> float:
        """Return the bytes per token that the backward pass of attention works with."""
        a, c = self.architecture, self.width
        q = a.heads * a.head_dim
        scores = self.sample * a.heads * 8 if self.written_out else 4 * q
        return scores + 3 * c * q

    def _mlp(self) -> float:
        """Return the bytes per token that a layer's MLP keeps."""
        a, c = self.architecture, self.width
        # Gated: gate, its activation and what goes up. Else the steps of GELU written out.
        inside = (3 if a.gated else 4) * a.intermediate * c
        return 4 * a.hidden + 4 + inside + self._read("mlp", "middle")
