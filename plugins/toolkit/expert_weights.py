"""Quantize the experts of a mixture, which are tensors of three dimensions and no linear modules.

Each is unpacked whenever its module runs. Imports torch and bitsandbytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.nn.utils import parametrize

Quantize = Callable[[Any, str], None]
"""Quantizes a parameter of a module, by its name there."""


def experts_in_4_bits(quant_type: str, double_quant: bool) -> Quantize:
    """Return what quantizes a parameter to nf4 or fp4."""

    def quantize(module: Any, name: str) -> None:
        from bitsandbytes.nn.parametrize import replace_parameter_4bit

        replace_parameter_4bit(
            module, name, compress_statistics=double_quant, quant_type=quant_type
        )

    return quantize


def experts_in_8_bits(module: Any, name: str) -> None:
    """Quantize a parameter to 8 bits, with a scale for each row."""
    from bitsandbytes.functional import int8_vectorwise_quant

    weight = getattr(module, name).data
    rows = weight.reshape(-1, weight.shape[-1]).half()
    packed, scales, _ = int8_vectorwise_quant(rows)
    setattr(module, name, torch.nn.Parameter(packed.view(weight.shape), requires_grad=False))
    unpacked = _EightBits(scales, weight.dtype)
    parametrize.register_parametrization(module, name, unpacked, unsafe=True)


class _EightBits(torch.nn.Module):  # type: ignore[misc]
    """Unpacks rows of 8 bits."""

    def __init__(self, scales: torch.Tensor, dtype: torch.dtype) -> None:
        super().__init__()
        self.register_buffer("scales", scales)
        self._dtype = dtype

    @torch.no_grad()  # type: ignore[untyped-decorator]
    def forward(self, packed: torch.Tensor) -> torch.Tensor:
        rows = packed.reshape(-1, packed.shape[-1]).float()
        return (rows * (self.scales[:, None] / 127)).to(self._dtype).view(packed.shape)


@contextmanager
def quantized_on_loading(quantize: Quantize | None) -> Iterator[None]:
    """Quantize experts as they are loaded, so that they are never in memory all at once."""
    from transformers import core_model_loading as loading

    put: Any = getattr(loading, "set_param_for_module", None)
    if quantize is None or put is None:
        yield
        return

    def put_quantized(model: Any, path: str, value: torch.Tensor, *rest: Any, **more: Any) -> None:
        put(model, path, value, *rest, **more)
        owner, _, name = path.rpartition(".")
        module = model.get_submodule(owner) if owner else model
        if _is_of_experts(path, module._parameters.get(name)):
            quantize(module, name)
            _mark_as_loaded(module)

    loading.set_param_for_module = put_quantized
    try:
        yield
    finally:
        loading.set_param_for_module = put


def quantize_experts(model: Any, quantize: Quantize | None) -> None:
    """Quantize the experts that are not yet."""
    for path, module in list(model.named_modules()) if quantize is not None else ():
        for name, value in list(module._parameters.items()):
            if quantize is not None and _is_of_experts(f"{path}.{name}", value):
                quantize(module, name)


def dense_experts(model: Any) -> None:
    """Replace quantized experts by dense ones: what training multiplies by."""
    for module in list(model.modules()):
        for name in list(getattr(module, "parametrizations", {})):
            dense = getattr(module, name).detach().clone()
            parametrize.remove_parametrizations(module, name, leave_parametrized=False)
            setattr(module, name, torch.nn.Parameter(dense, requires_grad=False))


def _is_of_experts(path: str, value: torch.Tensor | None) -> bool:
    if value is None or not value.is_floating_point() or value.is_meta:
        return False
    return value.ndim == 3 and "expert" in path.lower()


def _mark_as_loaded(module: Any) -> None:
    """Keep transformers from initializing what it does not recognize as loaded."""
    for parameter in module.parameters():
        parameter._is_hf_initialized = True
