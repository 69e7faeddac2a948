"""The memory that training takes, by part: an account of what the `qlora` runtime allocates.

Whoever changes what that runtime holds changes this too. Each formula is explained in
docs/estimates.md; tests hold them against the tensors that are alive while it trains.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import Any

from ...schema.architecture import Architecture, Linear
from ...schema.estimate import Memory, Saving
from ...schema.recipe import Recipe

BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
BLOCK = 64
"""Weights that share a scale in bitsandbytes' 4-bit types."""
BLOCK_OF_SCALES = 256
"""Scales that share a scale, with double quantization; also the block of 8-bit moments."""
LEAST_8BIT = 4096
"""Elements of a tensor below which bitsandbytes keeps its moments in 32 bits."""
LEAST_PAGED = 100_000
"""Elements of a tensor below which bitsandbytes does not page its moments."""
LOGIT_ROWS = 128
"""Tokens whose logits are made at once: `ROWS_AT_ONCE` of the runtime's loss."""
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
"""What a CPU's allocator holds beyond what is asked of it, as far as that is so much: without and
with layers that recompute, which leave smaller holes."""


@dataclass(frozen=True)
class Batch:
    """What is known of a micro batch beside the recipe.

    Attributes:
        tokens: in it.
        sample: tokens of a sample on average.
        learnt: share of tokens that the loss counts.
    """

    tokens: int
    sample: float
    learnt: float


def unsupported(recipe: Recipe) -> str | None:
    """Return what of a recipe this account does not know, or None."""
    for kind, use, known in (
        ("runtime", recipe.train.use, ("qlora",)),
        ("adapter", recipe.model.adapter.use, ("lora",)),
        ("quantizer", recipe.model.quantization.use, ("bitsandbytes", "none")),
    ):
        if use not in known:
            return f"the memory of {kind} `{use}` is not modeled"
    if getattr(recipe.model.adapter, "use_dora", False):
        return "the memory that DoRA keeps for its backward pass is not modeled"
    return None


def adapted(recipe: Recipe, architecture: Architecture) -> tuple[Linear, ...]:
    """Return the linear modules of one layer that get an adapter."""
    adapter: Any = recipe.model.adapter
    return architecture.modules(adapter.target_modules)


def trained_shapes(recipe: Recipe, architecture: Architecture) -> list[int]:
    """Return the number of elements of each trained tensor: A and B of every adapted module.

    DoRA has a magnitude for each of its rows beside.
    """
    adapter: Any = recipe.model.adapter
    a_layer = [
        adapter.r * width
        for linear in adapted(recipe, architecture)
        for width in (linear.inputs, linear.outputs)
    ]
    shapes = a_layer * architecture.layers
    if getattr(adapter, "use_dora", False):
        shapes += [x.outputs for x in adapted(recipe, architecture)] * architecture.layers
    named = adapter.target_modules
    if not isinstance(named, str) and architecture.head in named:
        shapes += [adapter.r * architecture.hidden, adapter.r * architecture.vocab]
    return shapes


def packed_bytes(linear: Linear, quantization: Any) -> int:
    """Return what one linear weight takes as it is stored."""
    if quantization.use == "none":
        return linear.weights * BYTES[quantization.dtype]
    if quantization.bits == 8:
        return linear.weights + 4 * linear.outputs
    scales = ceil(linear.weights / BLOCK)
    total = ceil(linear.weights / 2) + 16 * 4
    if quantization.double_quant:
        return total + scales + 4 * ceil(scales / BLOCK_OF_SCALES) + 256 * 4 + 4
    return total + 4 * scales


def compute_bytes(recipe: Recipe) -> int:
    """Return the bytes of one number in the type that the model computes in."""
    quantization: Any = recipe.model.quantization
    name = quantization.dtype if quantization.use == "none" else quantization.compute_dtype
    return BYTES[name]


def memory(recipe: Recipe, architecture: Architecture, batch: Batch, gpu: bool) -> Memory:
    """Return the account of a recipe that `unsupported` has nothing against."""
    train: Any = recipe.train
    quantization: Any = recipe.model.quantization
    width = compute_bytes(recipe)
    shapes = trained_shapes(recipe, architecture)
    trained = sum(shapes)
    a_layer = sum(packed_bytes(linear, quantization) for linear in architecture.linears)
    optimizer, paged = _moments(shapes, train.optimizer, gpu)
    activations = _Activations(recipe, architecture, batch, gpu)
    held, work = activations.held, activations.work
    chunk = LOGIT_ROWS * architecture.vocab * (LOGIT_BYTES + width)
    hidden = architecture.hidden * batch.tokens
    last = hidden * (4 + width) + ceil(hidden * batch.learnt) * width
    dense = max(linear.weights for linear in architecture.linears) * width
    unpacked = _unpacked(recipe, architecture, width)
    # The last hidden states and the backward pass of a layer take turns: only what is more counts.
    logits = chunk + max(0, last - work)
    asked = held + work + logits
    spare = FRAGMENTED * (held + work)
    if not gpu:
        heap = HEAP if activations.stored == architecture.layers else HEAP_AGAIN
        spare = min(heap, asked)
    process = CONTEXT if gpu else PROCESS
    return Memory(
        weights=architecture.layers * a_layer + architecture.small_parameters * width,
        embeddings=architecture.embedding_weights * width,
        unpacked=unpacked,
        adapter=4 * trained,
        gradients=4 * trained,
        optimizer=optimizer,
        activations=held + work,
        logits=logits,
        workspace=int(process + spare) + (0 if quantization.use == "none" else dense),
        paged=paged,
        process=process,
        spare=int(spare),
    )


def stored_layers(recipe: Recipe, architecture: Architecture, batch: Batch, gpu: bool) -> int:
    """Return how many layers keep their activations and do not recompute them."""
    return _Activations(recipe, architecture, batch, gpu).stored


def savings(
    recipe: Recipe, architecture: Architecture, batch: Batch, gpu: bool
) -> tuple[Saving, ...]:
    """Return changes of the recipe that take less memory, the largest saving first."""
    train: Any = recipe.train
    micro, sequence = train.micro_batch_size, train.sequence_len
    changes: list[tuple[str, Any, str]] = []
    if micro > 1:
        accumulate = train.gradient_accumulation_steps * micro
        text = f"micro_batch_size: 1 with gradient_accumulation_steps: {accumulate}"
        changes.append(("micro_batch_size", 1, text))
    if not train.gradient_checkpointing:
        changes.append(("gradient_checkpointing", True, "gradient_checkpointing: true"))
    elif train.activation_budget_gib > 0:
        changes.append(("activation_budget_gib", 0.0, "activation_budget_gib: 0"))
    if train.gradient_checkpointing and gpu and not train.activation_offloading:
        changes.append(("activation_offloading", True, "activation_offloading: true"))
    if train.weight_cache_gib > 0:
        changes.append(("weight_cache_gib", 0.0, "weight_cache_gib: 0"))
    if "8bit" not in train.optimizer:
        changes.append(("optimizer", "paged_adamw_8bit", "optimizer: paged_adamw_8bit"))
    changes.append(("sequence_len", sequence // 2, f"sequence_len: {sequence // 2}"))
    before = memory(recipe, architecture, batch, gpu).total
    found = []
    for name, value, text in changes:
        other = recipe.model_copy(update={"train": train.model_copy(update={name: value})})
        share = {"micro_batch_size": micro, "sequence_len": 2}.get(name, 1)
        smaller = Batch(batch.tokens // share, min(batch.sample, sequence / 2), batch.learnt)
        less = memory(other, architecture, smaller if share > 1 else batch, gpu).total
        if less < before:
            found.append(Saving(path=("train", name), change=text, saves_bytes=before - less))
    return tuple(sorted(found, key=lambda saving: -saving.saves_bytes))


def _moments(shapes: list[int], optimizer: str, gpu: bool) -> tuple[int, int]:
    """Return the bytes of both moments of Adam, and how many of them are paged."""
    total = paged = 0
    for elements in shapes:
        size = 8 * elements
        if optimizer.endswith("8bit") and elements >= LEAST_8BIT:
            size = 2 * (elements + 4 * ceil(elements / BLOCK_OF_SCALES))
        total += size
        if optimizer.startswith("paged") and gpu and elements >= LEAST_PAGED:
            paged += size
    return total, paged


def _unpacked(recipe: Recipe, architecture: Architecture, width: int) -> int:
    """Return the bytes that are kept unpacked: modules in order, for as long as they fit."""
    train: Any = recipe.train
    if recipe.model.quantization.use == "none":
        return 0
    limit, kept = int(train.weight_cache_gib * 2**30), 0
    for _ in range(architecture.layers):
        for linear in architecture.linears:
            if linear.weights * width <= limit - kept:
                kept += linear.weights * width
    return kept


class _Activations:
    """What lies between forward and backward.

    Attributes:
        held: bytes kept over all layers: their inputs with checkpointing, else everything.
        work: bytes that the backward pass needs on top.
        stored: layers that keep everything.
    """

    def __init__(self, recipe: Recipe, architecture: Architecture, batch: Batch, gpu: bool) -> None:
        self.architecture, self.gpu = architecture, gpu
        self.width = compute_bytes(recipe)
        self.adapter: Any = recipe.model.adapter
        self.adapted = adapted(recipe, architecture)
        train: Any = recipe.train
        name = train.attn_implementation
        self.written_out = name == "eager" or (not gpu and name in ("auto", "flash"))
        # Rows of a batch without packing are as long as they may be; in a pack, as they are; and
        # what is wrapped is one sample.
        apart = train.sample_packing and train.packing_strategy == "bfd"
        self.sample = batch.sample if apart else float(train.sequence_len)
        self.stored = architecture.layers
        if train.gradient_checkpointing:
            layer = batch.tokens * (self._attention() + self._mlp())
            budget = train.activation_budget_gib * 2**30
            self.stored = min(architecture.layers, int(budget / layer))
        self.held, self.work = self._split(batch.tokens, gpu and train.activation_offloading)

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
        drops = self.adapter.dropout > 0
        mask = 1 if self.gpu else self.width  # CUDA's dropout keeps a byte for each element
        for tensor in tensors:
            readers = [linear for linear in self.adapted if linear.reads == tensor]
            if readers:
                copies = len(readers) if drops else 1
                total += copies * readers[0].inputs * (self.width + (mask if drops else 0))
            total += len(readers) * self.adapter.r * self.width
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
        shared = self.adapter.dropout == 0 and any(x.reads == "context" for x in self.adapted)
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
