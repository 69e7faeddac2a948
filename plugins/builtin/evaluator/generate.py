"""Let the model answer held-out rows, and compare with their references."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from khichdi.plugins import EvaluationJob, EvaluationResult, Evaluator, Params, operational
from khichdi.plugins.toolkit.torch_environment import before_torch


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


class Generate(Evaluator[GenerateParams]):
    """Generate answers to held-out rows greedily: exact match and ROUGE-L, means over rows."""

    name = "generate"
    requires = ("torch", "transformers", "peft", "rouge-score")
    seeded = True

    def evaluate(self, job: EvaluationJob) -> EvaluationResult:
        """Return `exact_match`, `rouge_l` and `rows`, and each row's prediction."""
        before_torch()
        from .generation import evaluate

        return evaluate(self.params, job)

    def metrics_of(self, predictions: list[dict[str, Any]]) -> dict[str, float]:
        """Return the mean scores."""
        from .mean_scores import mean_scores

        return mean_scores(predictions)

    def rehearsal(self) -> dict[str, Any]:
        """Answer a few rows in a few tokens."""
        return {
            "max_new_tokens": min(8, self.params.max_new_tokens),
            "max_rows": min(4, self.params.max_rows or 4),
        }
