"""Packs to an adapter, by the runtime plugin."""

from __future__ import annotations

import json
from typing import Any

from ...plugins.checks import check_trained
from ...plugins.kinds import TrainingJob, TrainingResult
from ...schema.digest import digest
from ..adapter import CONFIG, WEIGHTS, adapter_digest
from ..tables import read_table
from .context import Context, Outcome, Produced


def train(context: Context) -> Outcome:
    """Train, and take the adapter, the trace of its steps and what it started from."""
    adapter = context.output("adapter")
    result: TrainingResult = context.plugin().train(
        TrainingJob(
            base=context.base(),
            base_name=str(context.step.settings["base_name"]),
            train=read_table(context.inputs["train"]),
            validation=read_table(context.inputs["validation"]),
            quantizer=context.part("quantizer"),
            adapter=context.part("adapter"),
            seed=context.step.seed or 0,
            work=context.work,
            output=adapter,
            report=context.report,
            launch=context.launch,
        )
    )
    check_trained(result)
    for name in (WEIGHTS, CONFIG):
        if not (adapter / name).is_file():
            raise context.fail(f"the runtime wrote no {name}")
    return Outcome(
        {
            "adapter": Produced(adapter, "adapter", adapter_digest(adapter)),
            "trace": values(context, "trace", result.trace),
            "weights": values(context, "weights", result.weights),
        },
        facts={"metrics": result.metrics} | ({"stopped": result.stopped} if result.stopped else {}),
        measured=dict(result.measured),
    )


def values(context: Context, name: str, content: Any) -> Produced:
    """Write JSON values as an output whose digest is of the values."""
    folder = context.output(name)
    text = json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False)
    (folder / "values.json").write_text(text + "\n", encoding="utf-8")
    return Produced(folder, "values", digest("values", content))
