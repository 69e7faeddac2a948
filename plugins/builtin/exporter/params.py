"""The parameters of the `merged` and `gguf` exporters."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from khichdi.plugins import Params, later

CHAT_TEMPLATE = (
    "Jinja chat template that is written into the model; the base's own if left out. "
    "`recipe export` writes the one of the recipe's `template`."
)


class MergedParams(Params):
    """The base to merge into, and the type of the result."""

    onto: Literal["base", "dequantized"] = Field(
        "base",
        description=(
            "Weights that the adapter is merged into: the `base` in full precision, as downloaded, "
            "or the quantized weights it was trained on (`dequantized`), which alone give the same "
            "answers as base and adapter in training and evaluation."
        ),
    )
    dtype: Literal["float32", "bfloat16", "float16"] = Field(
        "bfloat16",
        description=(
            "Data type of the merged weights; updates are added in float32 and rounded once."
        ),
    )
    max_shard_gib: float = Field(4.0, gt=0, description="Maximum size of a weights file, in GiB.")
    chat_template: str | None = later(None, min_length=1, description=CHAT_TEMPLATE)


class GgufParams(Params):
    """The base to merge into, and the type of the result."""

    onto: Literal["base", "dequantized"] = Field(
        "base",
        description=(
            "Weights that the adapter is merged into: the `base` in full precision, as downloaded, "
            "or the quantized weights it was trained on (`dequantized`)."
        ),
    )
    outtype: Literal["f32", "f16", "bf16", "q8_0", "q4_k_m", "q5_k_m", "q6_k"] = Field(
        "f16",
        description="Data type of the matrices, by llama.cpp's names; norms and biases are `f32`. "
        "Those with `_k` need llama.cpp itself: `llama-cpp-python`, or `llama-quantize`.",
    )
    chat_template: str | None = later(None, min_length=1, description=CHAT_TEMPLATE)
