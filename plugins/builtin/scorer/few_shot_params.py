"""The parameters of the `few-shot` scorer."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from khichdi.plugins import Params, operational

from ..template.sections import WITH_INPUT


class FewShotParams(Params):
    """Prompt, generation length and comparison."""

    metric: Literal["exact-match", "rouge-l"] = Field(
        description="Metric: exact match with any reference (1 or 0), or the best ROUGE-L F1 over "
        "references, in lower case and without full stops (0 to 1)."
    )
    normalize: Literal["none", "strip", "lower"] = Field(
        "strip",
        description=(
            "Normalization before an exact match: strip white space (`strip`), and also ignore "
            "case (`lower`)."
        ),
    )
    shots: int = Field(
        4,
        ge=0,
        le=64,
        description=(
            "Number of few-shot examples from the same task; the same for all rows of a task, "
            "drawn by the seed, but never one with the row's own input."
        ),
    )
    preamble: str = Field(WITH_INPUT, description="Text at the start of every prompt.")
    stop: str | None = Field(
        "\n\n", min_length=1, description="Stop sequence: the answer ends before it."
    )
    max_new_tokens: int = Field(
        128, ge=1, description="Maximum number of tokens generated per row."
    )
    max_prompt_tokens: int = Field(
        2048,
        ge=32,
        description=(
            "Maximum tokens of a prompt. A longer one loses examples, the last first; with none "
            "left, the row itself is truncated at its end. Both are counted."
        ),
    )
    rows_per_task: int | None = Field(
        None,
        ge=1,
        description=(
            "Score this many rows of each task, drawn by the seed; the others have no score. All "
            "if omitted."
        ),
    )
    batch_size: int = Field(
        8,
        ge=1,
        description=(
            "Batch size: rows of one task, of neighboring lengths, generated together. It affects "
            "rounding, so it is part of the hash."
        ),
    )
    cpu_threads: int = Field(
        2,
        ge=1,
        le=256,
        description=(
            "CPU threads per worker. The environment is ignored, because rounding depends on them."
        ),
    )
    workers: int = operational(
        1,
        ge=1,
        le=256,
        description=(
            "Worker processes, each with a copy of the model; on several GPUs they are assigned in "
            "turn."
        ),
    )
    weight_cache_gib: float = operational(
        1.0,
        ge=0,
        description="Memory per worker, in GiB, for cached dequantized base weights (faster, "
        "bit-identical).",
    )
