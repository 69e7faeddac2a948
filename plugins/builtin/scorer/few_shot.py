"""Score rows by the base model's few-shot answers."""

from __future__ import annotations

from typing import Any

from khichdi.plugins import Generation, Scorer, Scores, ScoringJob
from khichdi.plugins.toolkit.torch_environment import before_torch

from .few_shot_params import FewShotParams


class FewShot(Scorer[FewShotParams]):
    """Score rows by the base model's few-shot answers: exact match or ROUGE-L."""

    name = "few-shot"
    example = {"metric": "exact-match"}
    requires = ("torch", "transformers", "peft", "rouge-score")
    uses_model = True
    seeded = True

    def rehearsal(self) -> dict[str, Any]:
        """Answer a few rows of each task in a few tokens."""
        return {
            "max_new_tokens": min(8, self.params.max_new_tokens),
            "rows_per_task": min(4, self.params.rows_per_task or 4),
        }

    def generation(self, rows: int | None, tokens_per_row: float) -> Generation:
        """Return a prompt for each row; its examples are read once for all rows of a task.

        With `rows_per_task` that is an upper bound: how many tasks there are is not known.
        """
        params = self.params
        return Generation(
            prompts=rows,
            prompt_tokens=min(tokens_per_row, params.max_prompt_tokens),
            new_tokens=params.max_new_tokens,
            batch=params.batch_size,
        )

    def score(self, job: ScoringJob) -> Scores:
        """Return each row's score and answer, and their mean in `metrics`.

        The numbers do not depend on the order of rows, on other tasks, or on `workers`.
        """
        before_torch()
        from .scoring import score

        return score(self.params, job)
