"""The parameters of the `lm-eval` evaluator."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from khichdi.plugins import Params, operational

Task = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.+-]*$", max_length=100)]
"""The harness's name of a task, group or tag."""


class LmEvalParams(Params):
    """Release of the harness, tasks, and how they are prompted."""

    harness: str = Field(
        pattern=r"^\d+(\.\d+)+$",
        description="Release of lm-eval; another one that is installed is refused. Versions and "
        "configurations of tasks follow from it, so they are part of the hash.",
    )
    tasks: tuple[Task, ...] = Field(
        min_length=1,
        description="Tasks, groups or tags, by the harness's names. Each takes its data from the "
        "entry of `data` of its name, else from that with the longest name that it begins with.",
    )
    num_fewshot: int | None = Field(
        None, ge=0, description="Examples in the prompt; as each task says if omitted."
    )
    limit: int | None = Field(
        None, ge=1, description="Documents of each task, the first ones; all if omitted."
    )
    fewshot_seed: int = Field(1234, ge=0, description="Seed of the choice of examples.")
    apply_chat_template: bool = Field(
        False, description="Render prompts with the tokenizer's chat template."
    )
    max_gen_toks: int | None = Field(
        None, ge=1, description="Maximum number of generated tokens; as each task says if omitted."
    )
    batch_size: int = Field(
        8,
        ge=1,
        description="Batch size. The harness pads, so it affects rounding, and is part of the "
        "hash.",
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
