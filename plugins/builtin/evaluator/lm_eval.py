"""The `lm-eval` evaluator: tasks of EleutherAI's lm-evaluation-harness."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

from khichdi.plugins import EvaluationJob, EvaluationResult, Evaluator
from khichdi.plugins.side_effects import loading
from khichdi.plugins.toolkit.torch_environment import before_torch

from .lm_eval_params import LmEvalParams


class LmEval(Evaluator[LmEvalParams]):
    """Run tasks of EleutherAI's lm-evaluation-harness; their data is pinned, nothing is fetched."""

    name = "lm-eval"
    version = 1
    requires = ("lm-eval", "torch", "transformers", "peft", "datasets")
    uses_rows = False
    sources: ClassVar[Mapping[str, str]] = {
        "data": "Data sets of the tasks, by the name of a task or the beginning of several names. "
        "Splits are found by the data set's card, else by the names of its files."
    }
    example: ClassVar[Mapping[str, Any]] = {"harness": "0.4.13", "tasks": ["gsm8k"], "limit": 100}

    def evaluate(self, job: EvaluationJob) -> EvaluationResult:
        """Return `<task>.<metric>` for tasks and groups, and each document's answer and scores."""
        before_torch()
        with loading():
            from .harness.evaluation import evaluate

        return evaluate(self.params, job)

    def metrics_of(self, predictions: list[dict[str, Any]]) -> dict[str, float]:
        """Return the mean of each score by task; the harness's other metrics do not follow.

        Raises:
            ValueError: a document was left out or counted twice, or there are more than asked for.
        """
        _check_documents(predictions, self.params.limit)
        found: dict[str, list[float]] = {}
        for one in predictions:
            for name in one["means"]:
                found.setdefault(f"{one['group']}.{name}", []).append(one[name])
        return {name: math.fsum(values) / len(values) for name, values in found.items()}

    def rehearsal(self) -> dict[str, Any]:
        """Ask a document or two, and answer in a few tokens."""
        return {
            "limit": min(2, self.params.limit or 2),
            "max_gen_toks": min(8, self.params.max_gen_toks or 8),
        }


def _check_documents(predictions: list[dict[str, Any]], limit: int | None) -> None:
    """Refuse predictions that are not of the first documents of each task, each once."""
    told: dict[str, list[str]] = {}
    for one in predictions:
        told.setdefault(one["group"], []).append(one["id"])
    for task, found in told.items():
        due = [f"{task}/{number}" for number in range(len(found))]
        if found != due or (limit is not None and len(found) > limit):
            raise ValueError(f"the predictions of {task} are not of its first documents, each once")
