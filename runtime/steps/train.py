"""Train an adapter on packs, by the runtime plugin."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from ...plugins.kinds import TrainingJob, TrainingResult
from ...plugins.result_checks import check_trained
from ...plugins.toolkit.token_changes import GENERATION, TOKEN_FACTS
from ...schema.digest import digest
from ..adapter_files import CONFIG, WEIGHTS, adapter_digest
from ..tables import read_table
from ..training_states import write_states
from .context import Context, Outcome, Produced


def train(context: Context) -> Outcome:
    """Train, and keep the adapter, the trace of its steps and the starting weights."""
    adapter = context.output("adapter")
    result: TrainingResult = context.plugin().train(training_job(context, adapter))
    check_trained(result)
    for name in (WEIGHTS, CONFIG):
        if not (adapter / name).is_file():
            raise context.fail(f"the runtime wrote no {name}")
    _add_tokenizer(context, adapter)
    return Outcome(
        {
            "adapter": Produced(adapter, "adapter", adapter_digest(adapter)),
            "trace": values(context, "trace", result.trace),
            "weights": values(context, "weights", result.weights),
            **_states(context, result),
        },
        facts={"metrics": result.metrics} | ({"stopped": result.stopped} if result.stopped else {}),
        measured=dict(result.measured),
    )


def _add_tokenizer(context: Context, adapter: Path) -> None:
    """Put the tokenizer that the recipe changed beside the adapter, where tools look for it."""
    tokenizer = context.inputs.get("tokens")
    for path in sorted(tokenizer.iterdir()) if tokenizer is not None else ():
        if path.name not in (TOKEN_FACTS, GENERATION):
            shutil.copyfile(path, adapter / path.name)


def training_job(context: Context, output: Path) -> TrainingJob:
    """Return the job of a training step, its adapter to go to a folder."""
    return TrainingJob(
        base=context.base(),
        base_name=str(context.step.settings["base_name"]),
        train=read_table(context.inputs["train"]),
        validation=read_table(context.inputs["validation"]),
        quantizer=context.part("quantizer"),
        adapter=context.part("adapter"),
        seed=context.step.seed or 0,
        work=context.work,
        output=output,
        report=context.report,
        launch=context.launch,
    )


def _states(context: Context, result: TrainingResult) -> dict[str, Produced]:
    """Take the states at the ends of segments, where the runtime keeps them."""
    if result.states is None or result.states_folder is None:
        return {}
    folder = context.output("states")
    write_states(result.states, result.states_folder, folder)
    return {"states": Produced(folder, "states", result.states.digest())}


def values(context: Context, name: str, content: Any) -> Produced:
    """Write JSON values as an output whose digest is of the values."""
    folder = context.output(name)
    text = json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False)
    (folder / "values.json").write_text(text + "\n", encoding="utf-8")
    return Produced(folder, "values", digest("values", content))
