"""Bases that are published quantized: known by their configuration, before anything is fetched."""

from __future__ import annotations

from typing import Any

import jobs
import pytest

from khichdi.plugins.builtin.runtime.qlora.bases import support

PUBLISHED: dict[str, dict[str, Any]] = {
    "openai/gpt-oss-20b": {
        "model_type": "gpt_oss",
        "quantization_config": {
            "quant_method": "mxfp4",
            "modules_to_not_convert": ["model.layers.*.self_attn", "lm_head"],
        },
    },
    "deepseek-ai/DeepSeek-V3": {
        "model_type": "deepseek_v3",
        "quantization_config": {
            "activation_scheme": "dynamic", "fmt": "e4m3", "quant_method": "fp8",
            "weight_block_size": [128, 128],
        },
    },
    "a Llama of compressed-tensors": {
        "model_type": "llama",
        "quantization_config": {"quant_method": "compressed-tensors", "format": "pack-quantized"},
    },
    "a Llama of bitsandbytes": {
        "model_type": "llama",
        "quantization_config": {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4"},
    },
}  # fmt: skip
"""Configurations as they are published, without what is not about weights."""


@pytest.mark.parametrize(
    ("name", "layout", "words"),
    [
        ("openai/gpt-oss-20b", "packed", ""),
        ("deepseek-ai/DeepSeek-V3", "packed", ""),
        ("a Llama of compressed-tensors", "refused", "quantized already (compressed-tensors)"),
        ("a Llama of bitsandbytes", "packed", ""),
    ],
)
def test_published_quantizations_are_known_by_their_configuration(
    name: str, layout: str, words: str
) -> None:
    found = support(PUBLISHED[name], quantizer=jobs.NF4)
    assert found.layout == layout
    assert words in found.reason
