"""Generate answers to validation rows and compare them with their references."""

from __future__ import annotations

from typing import Any

from khichdi.plugins import EvaluationJob, EvaluationResult, Evaluator
from khichdi.plugins.toolkit.torch_environment import before_torch

from .params import GenerateParams


class Generate(Evaluator[GenerateParams]):
    """Generate answers to validation rows greedily: mean exact match and ROUGE-L."""

    name = "generate"
    version = 2  # 2: prompts are tokenized whole, with the template's generation prompt
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
