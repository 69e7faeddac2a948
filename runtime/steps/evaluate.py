"""Evaluate: validation rows to metrics and predictions, by an evaluator plugin."""

from __future__ import annotations

from ...plugins.kinds import EvaluationJob, EvaluationResult
from ...plugins.result_checks import check_evaluated
from ..tables import read_table
from .context import Context, Outcome
from .train import values


def evaluate(context: Context) -> Outcome:
    """Measure the base alone, or with the adapter where the step has one."""
    result: EvaluationResult = context.plugin().evaluate(
        EvaluationJob(
            base=context.base(),
            adapter=context.inputs.get("adapter"),
            rows=read_table(context.inputs["rows"]),
            template=context.part("template"),
            quantizer=context.part("quantizer"),
            seed=context.step.seed or 0,
            report=context.report,
        )
    )
    check_evaluated(result)
    return Outcome(
        {
            "predictions": values(context, "predictions", result.predictions),
            "metrics": values(context, "metrics", result.metrics),
        },
        facts={"metrics": result.metrics, "rows_in": len(result.predictions)},
    )
