"""Keep base weights unquantized, in one floating-point type."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from khichdi.plugins import Params, Quantizer
from khichdi.schema.architecture import BYTES, Linear


class NoneParams(Params):
    """The floating-point type of the weights."""

    dtype: Literal["float32", "bfloat16", "float16"] = Field(
        "bfloat16", description="Data type that weights are stored and computed in."
    )


class NoQuantizer(Quantizer[NoneParams]):
    """Keep the base weights unquantized, in one floating-point type."""

    name = "none"

    def config(self) -> Any | None:
        """Return None: nothing is quantized."""
        return None

    def dtype(self) -> str:
        """Return the type the weights are held in."""
        return self.params.dtype

    def stored_bytes(self, linear: Linear) -> int | None:
        """Return the bytes of the weights in their type."""
        return linear.weights * BYTES[self.params.dtype]
