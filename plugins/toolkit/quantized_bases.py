"""Bases that were published quantized: which can be trained over, by `config.json` alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..kinds import Quantizer

UNPACKED_ON_LOADING = {"mxfp4": "Mxfp4Config", "fp8": "FineGrainedFP8Config"}
"""Methods whose weights transformers unpacks when it loads them, and its class for each."""
BITSANDBYTES = "bitsandbytes"


def method_of(config: Mapping[str, Any]) -> str | None:
    """Return the method that a base's weights are quantized by; None for plain ones."""
    found = config.get("quantization_config")
    if not isinstance(found, Mapping):
        return None
    if found.get("quant_method"):
        return str(found["quant_method"])
    return BITSANDBYTES if found.get("load_in_4bit") or found.get("load_in_8bit") else "unnamed"


def why_not_trained_over(
    config: Mapping[str, Any], quantizer: Quantizer[Any] | None = None
) -> tuple[str, str] | None:
    """Return why a base cannot be trained over as it is quantized, and a hint; None where it can.

    Weights of bitsandbytes stay as they are, so the recipe has to ask for the same number of bits.
    """
    method = method_of(config)
    if method is None or method in UNPACKED_ON_LOADING:
        return None
    if method != BITSANDBYTES:
        return (
            f"its weights are quantized already ({method})",
            "take the original weights, and quantize them by `quantization:`",
        )
    bits = 4 if config["quantization_config"].get("load_in_4bit") else 8
    if quantizer is None or getattr(quantizer.params, "bits", None) == bits:
        return None
    return (
        f"its weights are quantized already ({method}, {bits} bits)",
        f"write `quantization: {{use: bitsandbytes, bits: {bits}}}`, or take the original weights",
    )
