"""Generate answers to validation rows and compare them with their references."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from khichdi.plugins import EvaluationJob, EvaluationResult, Evaluator, Generation
from khichdi.plugins.toolkit.torch_environment import before_torch

from .params import GenerateParams

if TYPE_CHECKING:
    import pyarrow as pa


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

    def generation(self, rows: int | None, tokens_per_row: float) -> Generation:
        """Return a prompt for each validation row, `max_rows` at the most."""
        params = self.params
        limited = params.max_rows if rows is None else min(rows, params.max_rows or rows)
        return Generation(
            prompts=limited,
            prompt_tokens=tokens_per_row,
            new_tokens=params.max_new_tokens,
            batch=params.batch_size,
        )

    def threads(self) -> int:
        """Return `cpu_threads`."""
        return self.params.cpu_threads

    def metrics_of(self, predictions: list[dict[str, Any]]) -> dict[str, float]:
        """Return the mean scores."""
        from .scores import mean_scores

        return mean_scores(predictions)

    def scores_of(self, predictions: list[dict[str, Any]], rows: pa.Table) -> list[dict[str, Any]]:
        """Return each prediction, compared with its row's references again."""
        from .scores import scored

        by_id = {row["id"]: row for row in rows.to_pylist()}
        return [
            scored(by_id[one["id"]], one["prediction"], self.params.normalize)
            for one in predictions
        ]

    def rehearsal(self) -> dict[str, Any]:
        """Answer a few rows in a few tokens."""
        return {
            "max_new_tokens": min(8, self.params.max_new_tokens),
            "max_rows": min(4, self.params.max_rows or 4),
        }
