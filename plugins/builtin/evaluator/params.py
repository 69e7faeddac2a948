"""The parameters of the `generate` evaluator."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from khichdi.plugins import Params, operational


class GenerateParams(Params):
    """Generation length and comparison."""

    max_new_tokens: int = Field(
        128, ge=1, description="Maximum number of tokens generated per row."
    )
    max_rows: int | None = Field(
        None, ge=1, description="Rows to evaluate, drawn by the seed; all if omitted."
    )
    stop: str | None = Field(
        None, min_length=1, description="Stop sequence: the answer ends before it."
    )
    normalize: Literal["strip", "lower"] = Field(
        "strip",
        description=(
            "Normalization before an exact match: strip white space (`strip`), and also ignore "
            "case (`lower`)."
        ),
    )
    batch_size: int = Field(
        8,
        ge=1,
        description="Batch size: rows with prompts of equal length generated together. It affects "
        "rounding, so it is part of the hash.",
    )
    cpu_threads: int = Field(
        2,
        ge=1,
        le=256,
        description="CPU threads. The environment is ignored, because rounding depends on them.",
    )
    weight_cache_gib: float = operational(
        1.0,
        ge=0,
        description="Memory, in GiB, for cached dequantized base weights (faster, bit-identical).",
    )
