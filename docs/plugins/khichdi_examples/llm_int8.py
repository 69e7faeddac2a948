"""The quantizer `llm-int8`."""

from __future__ import annotations

from typing import Any, Literal

from khichdi.plugins import Params, Quantizer, hookimpl
from pydantic import Field


class LlmInt8Params(Params):
    """What stays out of 8 bits."""

    threshold: float = Field(
        6.0,
        ge=0,
        description="Activations beyond it are outliers, and their columns are computed in 16 "
        "bits; 0 takes none for one, which is faster.",
    )
    skip_modules: tuple[str, ...] = Field(
        ("lm_head",), description="Names of linear modules that are not quantized."
    )
    compute_dtype: Literal["float32", "bfloat16", "float16"] = Field(
        "bfloat16", description="Data type of everything not in 8 bits."
    )


class LlmInt8(Quantizer[LlmInt8Params]):
    """Store linear weights in 8 bits by LLM.int8(), with its outlier threshold to choose."""

    name = "llm-int8"
    requires = ("bitsandbytes", "transformers")

    def config(self) -> Any:
        """Return the configuration that transformers loads the base with."""
        from transformers import BitsAndBytesConfig

        return BitsAndBytesConfig(
            load_in_8bit=True,
            llm_int8_threshold=self.params.threshold,
            llm_int8_skip_modules=sorted(self.params.skip_modules),
        )

    def dtype(self) -> str:
        """Return what the model computes in."""
        return self.params.compute_dtype


@hookimpl
def khichdi_quantizers() -> list[type[LlmInt8]]:
    """Return the plugins of this distribution."""
    return [LlmInt8]
