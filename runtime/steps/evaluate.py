"""Evaluate: validation rows to metrics and predictions, by an evaluator plugin."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ...plugins.kinds import EvaluationJob, EvaluationResult
from ...plugins.result_checks import check_evaluated
from ...schema.rows import row_schema
from ..tables import read_table
from .context import Context, Outcome
from .train import values


def evaluate(context: Context) -> Outcome:
    """Measure the base alone, or with the adapter where the step has one."""
    plugin, rows = context.plugin(), context.inputs.get("rows")
    template: Any = context.part("template") if "template" in context.step.parts else None
    result: EvaluationResult = plugin.evaluate(
        EvaluationJob(
            base=context.base(),
            adapter=context.inputs.get("adapter"),
            rows=row_schema().empty_table() if rows is None else read_table(rows),
            template=template,
            quantizer=context.part("quantizer"),
            seed=context.step.seed or 0,
            files=_files(context, plugin),
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


def _files(context: Context, plugin: Any) -> dict[str, dict[str, Path]]:
    """Return the folders of an evaluator's sources, by field and name."""
    found: dict[str, dict[str, Path]] = {field: {} for field in plugin.sources}
    for role, folder in context.inputs.items():
        field, _, name = role.partition("/")
        if name and field in found:
            found[field][name] = folder
    return found
