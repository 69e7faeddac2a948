"""The quantizer `my-plugin`."""

from __future__ import annotations

from typing import Any

from khichdi.plugins import Params, Quantizer
from pydantic import Field


class MyPluginParams(Params):
    """Parameters of `my-plugin`; every field has a description."""

    bits: int = Field(4, description="Bits per weight: 4 or 8.", ge=4, le=8)


class MyPlugin(Quantizer[MyPluginParams]):
    """Store the base's linear weights in 4 or 8 bits."""

    name = "my-plugin"
    requires = ("transformers", "bitsandbytes")

    def config(self) -> Any:
        """Return the configuration that transformers loads the base with."""
        from transformers import BitsAndBytesConfig

        if self.params.bits == 8:
            return BitsAndBytesConfig(load_in_8bit=True)
        return BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4")

    def dtype(self) -> str:
        """Return the type that the model computes in."""
        return "bfloat16"
