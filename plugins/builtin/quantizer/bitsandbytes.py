"""Quantize base weights to 4 or 8 bits with bitsandbytes."""

from __future__ import annotations

from math import ceil
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from khichdi.plugins import Params, Quantizer, later
from khichdi.schema.architecture import Linear

BLOCK = 64
"""Weights that share a scale, in 4-bit types."""
BLOCK_OF_SCALES = 256
"""Scales that share a scale, with double quantization."""


class BitsAndBytesParams(Params):
    """Number of bits, and data types."""

    bits: Literal[4, 8] = Field(4, description="Bits per weight.")
    quant_type: Literal["nf4", "fp4"] = Field(
        "nf4", description="4-bit data type; QLoRA uses `nf4`. Does not apply to 8 bits."
    )
    double_quant: bool = Field(
        False,
        description=(
            "Quantize the scales of 4-bit weights too, which saves 0.4 bits per weight. Not for 8 "
            "bits."
        ),
    )
    compute_dtype: Literal["float32", "bfloat16", "float16"] = Field(
        "bfloat16", description="Data type that weights are dequantized to and computed in."
    )

    experts: bool = later(
        False,
        description="Quantize the routed experts of a mixture too, which are no linear modules "
        "and stay dense otherwise. They are unpacked whenever their layer runs.",
    )

    @model_validator(mode="after")
    def _only_what_counts(self) -> Self:
        if self.bits == 8 and self.double_quant:
            raise ValueError("double_quant is for 4-bit weights: leave it out, or use bits: 4")
        if self.bits == 8 and self.quant_type != "nf4":
            raise ValueError("quant_type is for 4-bit weights: leave it out, or use bits: 4")
        return self


class BitsAndBytes(Quantizer[BitsAndBytesParams]):
    """Quantize the base's linear weights to 4 or 8 bits; embeddings and head are unchanged."""

    name = "bitsandbytes"
    requires = ("bitsandbytes", "transformers")

    def config(self) -> Any | None:
        """Return the transformers `BitsAndBytesConfig`."""
        import torch
        from transformers import BitsAndBytesConfig

        params = self.params
        if params.bits == 8:
            return BitsAndBytesConfig(load_in_8bit=True)
        return BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type=params.quant_type,
            bnb_4bit_use_double_quant=params.double_quant,
            bnb_4bit_compute_dtype=getattr(torch, params.compute_dtype),
        )

    def dtype(self) -> str:
        """Return the type that weights are unpacked to."""
        return self.params.compute_dtype

    def experts(self) -> Any | None:
        """Return the function that quantizes experts, where it is asked for."""
        if not self.params.experts:
            return None
        from khichdi.plugins.toolkit.expert_weights import experts_in_4_bits, experts_in_8_bits

        if self.params.bits == 8:
            return experts_in_8_bits
        return experts_in_4_bits(self.params.quant_type, self.params.double_quant)

    def stored_bytes(self, linear: Linear) -> int | None:
        """Return the bytes of the packed weights, of their scales and of the table of codes."""
        if self.params.bits == 8:
            return linear.weights + 4 * linear.outputs
        scales = ceil(linear.weights / BLOCK)
        total = ceil(linear.weights / 2) + 16 * 4
        if self.params.double_quant:
            return total + scales + 4 * ceil(scales / BLOCK_OF_SCALES) + 256 * 4 + 4
        return total + 4 * scales
