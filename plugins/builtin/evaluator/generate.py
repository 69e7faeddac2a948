"""Generate answers to validation rows and compare them with their references."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from khichdi.plugins import EvaluationJob, EvaluationResult, Evaluator, Params, operational
from khichdi.plugins.toolkit.torch_environment import before_torch


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
        description=(
            "Batch size: rows with prompts of equal length generated together. It affects "
            "rounding, so it is part of the hash."
        ),
    )
    cpu_threads: int = Field(
        2,
        ge=1,
        le=256,
        description="CPU threads, whatever the environment says: rounding depends on them.",
    )
    weight_cache_gib: float = operational(
        1.0,
        ge=0,
        description="Memory, in GiB, for cached dequantized base weights (faster, bit-identical).",
    )


class Generate(Evaluator[GenerateParams]):
    """Generate answers to validation rows greedily: mean exact match and ROUGE-L."""

    name = "generate"
    requires = ("torch", "transformers", "peft", "rouge-score")
    seeded = True

    def evaluate(self, job: EvaluationJob) -> EvaluationResult:
        """Return `exact_match`, `rouge_l` and `rows`, and each row's prediction."""
        before_torch()
        from .generation import evaluate

        return evaluate(self.params, job)

    def rehearsal(self) -> dict[str, Any]:
        """Answer a few rows in a few tokens."""
        return {
            "max_new_tokens": min(8, self.params.max_new_tokens),
            "max_rows": min(4, self.params.max_rows or 4),
        }
