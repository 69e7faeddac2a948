"""The parameters of the `few-shot` scorer."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from khichdi.plugins import Params, operational

from ..template.sections import WITH_INPUT


class FewShotParams(Params):
    """What the model is shown, how much it generates, and how its answer is compared."""

    metric: Literal["exact-match", "rouge-l"] = Field(
        description="The score: whether the answer equals any reference (1 or 0), or the best "
        "ROUGE-L F over references, in lower case and without full stops (0 to 1)."
    )
    normalize: Literal["none", "strip", "lower"] = Field(
        "strip",
        description="Before an exact match, take white space off both ends (`strip`), and compare "
        "without case too (`lower`).",
    )
    shots: int = Field(
        4,
        ge=0,
        le=64,
        description="Solved rows of the same task before the row; the same ones for all rows of a "
        "task, drawn by the seed, but never one with the row's own input.",
    )
    preamble: str = Field(WITH_INPUT, description="Text that a prompt starts with.")
    stop: str | None = Field(
        "\n\n", min_length=1, description="Text at which an answer ends; it is cut off."
    )
    max_new_tokens: int = Field(128, ge=1, description="Tokens generated for a row at most.")
    max_prompt_tokens: int = Field(
        2048,
        ge=32,
        description="Tokens of a prompt at most. A longer one loses solved rows, the last first; "
        "where it has none left, the row itself is cut at its end. Both are counted.",
    )
    rows_per_task: int | None = Field(
        None,
        ge=1,
        description="Score this many rows of each task, drawn by the seed; the others have no "
        "score. Left out, all are scored.",
    )
    batch_size: int = Field(
        8,
        ge=1,
        description="Rows of one task, next to each other in length, that are generated together; "
        "part of the calculation, because rounding depends on it.",
    )
    cpu_threads: int = Field(
        2,
        ge=1,
        le=256,
        description="Threads of a worker on a CPU, whatever the environment says: rounding "
        "depends on them.",
    )
    workers: int = operational(
        1,
        ge=1,
        le=256,
        description="Processes that share the rows out, each with a copy of the model; on several "
        "GPUs they take turns.",
    )
    weight_cache_gib: float = operational(
        1.0,
        ge=0,
        description="Memory of a worker, in GiB, for base weights that are kept unpacked: faster, "
        "same bits.",
    )
