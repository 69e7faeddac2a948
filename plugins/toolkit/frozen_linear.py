"""Frozen linear layers: dequantize NF4 weights and apply low-rank updates, on CPU and GPU.

The modules stay bitsandbytes' and peft's, so that everything they can be saved and loaded with
works; only the `forward` of the instances at hand is replaced:

- A quantized weight is unpacked to the compute type and multiplied. bitsandbytes' own forward
  repacks the weights in place on some CPUs, and picks other kernels for few rows on GPUs.
- A LoRA layer is one autograd function without the copies and casts of the general one.
"""

from __future__ import annotations

from types import MethodType
from typing import Any

import torch

TOKENS_AT_ONCE = 512
"""Rows of a product over tokens on the CPU. A longer dimension to sum over is split by the
number of threads, and then its bits depend on them; so it is split here, always the same."""


class Scratch:
    """One buffer that all weights are unpacked into, each done with before the next is asked for.

    Without it a GPU's allocator keeps a block for every shape, and two where one is freed late.
    """

    def __init__(self) -> None:
        self._buffer: torch.Tensor | None = None

    def like(self, shape: torch.Size, dtype: torch.dtype, device: torch.device) -> torch.Tensor:
        """Return a part of the buffer in this shape; it grows with the largest."""
        if self._buffer is None or self._buffer.numel() < shape.numel():
            self._buffer = None  # before there are two
            self._buffer = torch.empty(shape.numel(), dtype=dtype, device=device)
        return self._buffer[: shape.numel()].view(shape)


class BaseWeight:
    """The dense matrix of a linear module, unpacked each time it is asked for or kept.

    Kept or not, the bits are the same. With a scratch, what `dense` returns is valid until the
    next weight of that scratch is asked for.
    """

    def __init__(
        self, linear: torch.nn.Linear, dtype: torch.dtype, scratch: Scratch | None = None
    ) -> None:
        self._linear = linear
        self._dtype = dtype
        self._scratch = scratch
        self._kept: torch.Tensor | None = None

    @property
    def size(self) -> int:
        """Bytes that keeping it takes; 0 for a weight that is dense as it is."""
        if type(self._linear) is torch.nn.Linear and self._linear.weight.dtype == self._dtype:
            return 0
        return int(self._linear.in_features * self._linear.out_features * self._dtype.itemsize)

    def keep(self) -> None:
        """Unpack once and for all."""
        self._kept = self._unpack(None)

    def dense(self) -> torch.Tensor:
        """Return the matrix, shape (out, in)."""
        return self._unpack(self._scratch) if self._kept is None else self._kept

    def _unpack(self, scratch: Scratch | None) -> torch.Tensor:
        weight: Any = self._linear.weight
        state = getattr(weight, "quant_state", None)
        if state is not None:
            from bitsandbytes.functional import dequantize_4bit

            if scratch is None or state.dtype != self._dtype:
                return dequantize_4bit(weight.data, state).to(self._dtype)
            out = scratch.like(state.shape, self._dtype, weight.device)
            return dequantize_4bit(weight.data, state, out=out)
        scale = getattr(weight, "SCB", None)
        if scale is not None:
            return (weight.data * (scale.unsqueeze(1) / 127.0)).to(self._dtype)
        return weight.data.to(self._dtype)


class _Frozen(torch.autograd.Function):  # type: ignore[misc]
    """x W^T + bias, where neither W nor bias has a gradient."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, weight: BaseWeight, bias: Any) -> torch.Tensor:
        ctx.weight = weight
        return torch.nn.functional.linear(x, weight.dense(), bias)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> Any:
        return grads[0] @ ctx.weight.dense(), None, None


class _LowRank(torch.autograd.Function):  # type: ignore[misc]
    """x W^T + bias + scaling (dropped A^T) B^T; `dropped` is None where nothing is dropped."""

    @staticmethod
    def forward(
        ctx: Any,
        x: torch.Tensor,
        dropped: torch.Tensor | None,
        a: torch.Tensor,
        b: torch.Tensor,
        weight: BaseWeight,
        bias: torch.Tensor | None,
        scaling: float,
    ) -> torch.Tensor:
        flat = x.reshape(-1, x.shape[-1])
        source = flat if dropped is None else dropped.reshape(flat.shape)
        out = torch.nn.functional.linear(flat, weight.dense(), bias)
        low = source @ a.to(x.dtype).t()
        out.addmm_(low, b.to(x.dtype).t(), alpha=scaling)
        ctx.save_for_backward(source, low, a, b)
        ctx.weight, ctx.scaling, ctx.shape = weight, scaling, x.shape
        ctx.separate = dropped is not None
        # Not `view`: a model may change what it is given in place.
        return torch.ops.aten._unsafe_view(out, (*x.shape[:-1], out.shape[-1]))

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> Any:
        source, low, a, b = ctx.saved_tensors
        grad = grads[0].reshape(-1, grads[0].shape[-1])
        down = (grad @ b.to(grad.dtype)).mul_(ctx.scaling)
        grad_a = _over_tokens(down, source).to(a.dtype)
        grad_b = _over_tokens(grad, low).mul_(ctx.scaling).to(b.dtype)
        grad_x = grad_dropped = None
        if ctx.needs_input_grad[0]:
            grad_x = grad @ ctx.weight.dense()
            if not ctx.separate:
                grad_x.addmm_(down, a.to(grad.dtype))
            grad_x = grad_x.view(ctx.shape)
        if ctx.separate and ctx.needs_input_grad[1]:
            grad_dropped = (down @ a.to(grad.dtype)).view(ctx.shape)
        return grad_x, grad_dropped, grad_a, grad_b, None, None, None


def _over_tokens(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """Return left^T right in float32, shapes (n, p) and (n, q) to (p, q)."""
    if left.device.type != "cpu" or len(left) <= TOKENS_AT_ONCE:
        return (left.t() @ right).float()
    parts = zip(left.split(TOKENS_AT_ONCE), right.split(TOKENS_AT_ONCE), strict=True)
    total = torch.zeros(left.shape[1], right.shape[1])
    for some, others in parts:
        total += some.t() @ others
    return total


# ---- putting them in ------------------------------------------------------------------------


def install(model: Any, dtype: torch.dtype, keep_bytes: int = 0) -> int:
    """Give the model's frozen and LoRA linear modules these forwards.

    Modules that are neither (other adapters, trained linears, the head) keep their own.

    Args:
        model: a transformers model, or a peft model around one.
        dtype: the compute type.
        keep_bytes: memory that unpacked weights may take; modules are taken in their order for
            as long as it suffices.

    Returns:
        Bytes of unpacked weights that are kept.
    """
    from peft.tuners.lora import LoraLayer

    layers = [module for module in model.modules() if isinstance(module, LoraLayer)]
    bases = {layer.get_base_layer() for layer in layers}
    weights: dict[Any, BaseWeight] = {}
    # bitsandbytes unpacks into what it is given on GPUs only.
    scratch = Scratch() if any(p.is_cuda for p in model.parameters()) else None
    kept = 0
    for module in model.modules():
        if not _is_frozen(module) or not (module in bases or _is_packed(module)):
            continue
        weight = weights[module] = BaseWeight(module, dtype, scratch)
        if 0 < weight.size <= keep_bytes - kept:
            weight.keep()
            kept += weight.size
        module.forward = MethodType(_frozen_forward(weight), module)
    for layer in layers:
        base_weight = weights.get(layer.get_base_layer())
        if base_weight is not None and _is_plain(layer):
            layer.forward = MethodType(_lora_forward(base_weight), layer)
    return kept


def _is_frozen(module: Any) -> bool:
    return isinstance(module, torch.nn.Linear) and not module.weight.requires_grad


def _is_packed(linear: Any) -> bool:
    """Tell whether bitsandbytes holds the weight."""
    return any(hasattr(linear.weight, name) for name in ("quant_state", "SCB"))


def _is_plain(layer: Any) -> bool:
    """Tell plain LoRA with one adapter from its variants, which keep peft's forward."""
    return (
        len(layer.active_adapters) == 1
        and layer.active_adapters[0] in layer.lora_A
        and not layer.lora_variant
        and not layer.merged
        and not getattr(layer, "fan_in_fan_out", False)
        and not any(layer.lora_bias.values())
    )


def _frozen_forward(weight: BaseWeight) -> Any:
    def forward(self: Any, x: torch.Tensor) -> torch.Tensor:
        bias = None if self.bias is None else self.bias.to(x.dtype)
        return _Frozen.apply(x, weight, bias)

    return forward


def _lora_forward(weight: BaseWeight) -> Any:
    def forward(self: Any, x: torch.Tensor, *_: Any, **__: Any) -> torch.Tensor:
        base = self.get_base_layer()
        bias = None if base.bias is None else base.bias.to(x.dtype)
        if self.disable_adapters:
            return _Frozen.apply(x, weight, bias)
        name = self.active_adapters[0]
        drop = self.lora_dropout[name]
        drops = self.training and getattr(drop, "p", 0.0) > 0
        return _LowRank.apply(
            x,
            drop(x) if drops else None,
            self.lora_A[name].weight,
            self.lora_B[name].weight,
            weight,
            bias,
            self.scaling[name],
        )

    return forward
