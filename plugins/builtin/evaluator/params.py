"""The parameters of the `generate` evaluator."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from khichdi.plugins import Params, operational


class GenerateParams(Params):
    """How much is generated, and how it is compared."""

    max_new_tokens: int = Field(128, ge=1, description="Tokens generated for a row at most.")
    max_rows: int | None = Field(
        None, ge=1, description="Rows that are evaluated, drawn by the seed; all if left out."
    )
    stop: str | None = Field(
        None, min_length=1, description="Text at which an answer ends; it is cut off."
    )
    normalize: Literal["strip", "lower"] = Field(
        "strip",
        description="Before an exact match, take white space off both ends (`strip`), and compare "
        "without case too (`lower`).",
    )
    batch_size: int = Field(
        8,
        ge=1,
        description="Rows with prompts of one length that are generated together; part of the "
        "calculation, because rounding depends on it.",
    )
    cpu_threads: int = Field(
        2,
        ge=1,
        le=256,
        description="Threads on a CPU, whatever the environment says: rounding depends on them.",
    )
    weight_cache_gib: float = operational(
        1.0,
        ge=0,
        description="Memory, in GiB, for base weights that are kept unpacked: faster, same bits.",
    )
