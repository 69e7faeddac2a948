"""Validate what plugins return, in runs and in the conformance kit.

Each function raises a `PluginError` that says what was given, what was expected, and at which row.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

from ..schema.training_states import IN_TRACE
from .kinds import (
    Breach,
    Drop,
    EvaluationResult,
    Pin,
    Rendering,
    Replay,
    Scores,
    TrainingResult,
    TrainingSegment,
)
from .side_effects import PluginError

if TYPE_CHECKING:
    import pyarrow as pa

REASON = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


def _type(value: Any) -> str:
    return "nothing (None)" if value is None else type(value).__name__


def _sequence(value: Any, what: str) -> None:
    if not isinstance(value, Sequence) or isinstance(value, str | bytes):
        raise PluginError(f"gave {_type(value)}; {what} was expected")


def check_drop(drop: Any, row: str | int | None) -> None:
    """Check why a row goes: a short slug, or a `Drop` of one."""
    reason = drop.reason if isinstance(drop, Drop) else drop
    if not isinstance(reason, str):
        raise PluginError(
            f"gave {_type(drop)} as a reason; None, a text or a Drop was expected", row=row
        )
    if not REASON.fullmatch(reason):
        raise PluginError(
            f"gave {reason[:40]!r} as a reason; lower-case words joined by dashes were expected",
            row=row,
        )
    if isinstance(drop, Drop) and not (isinstance(drop.detail, str) and isinstance(drop.id, str)):
        raise PluginError("returned a Drop whose detail or id is not a text", row=row)


def check_reasons(reasons: Any, rows: int) -> None:
    """Check a filter's verdicts on a batch."""
    _sequence(reasons, "a list with None or a reason for each row")
    if len(reasons) != rows:
        raise PluginError(f"gave {len(reasons)} reasons for {rows} rows")
    checked: set[str] = set()  # most rows go for one of a few reasons
    for number, reason in enumerate(reasons):
        if reason is None or (type(reason) is str and reason in checked):
            continue
        check_drop(reason, number)
        if type(reason) is str:
            checked.add(reason)


def check_edited(before: pa.RecordBatch, after: Any) -> None:
    """Check what an editor made of a batch."""
    import pyarrow as pa

    if not isinstance(after, pa.RecordBatch):
        raise PluginError(f"gave {_type(after)}; a record batch was expected")
    same = "an editor must return the same rows, with the same ids and columns"
    if after.schema != before.schema or after.num_rows != before.num_rows:
        raise PluginError(same)
    if not after.column("id").equals(before.column("id")):
        raise PluginError(same)
    for name in after.schema.names:
        if after.column(name).null_count:
            nulls = after.column(name).is_null().to_pylist()
            raise PluginError(f"returned a null in `{name}`; rows have none", row=nulls.index(True))


def check_read(found: Any) -> None:
    """Check what a reader yields, before it is completed."""
    import pyarrow as pa

    if isinstance(found, Drop):
        check_drop(found, found.id or None)
    elif not isinstance(found, pa.RecordBatch):
        raise PluginError(f"gave {_type(found)}; record batches and Drops were expected")


def check_selected(selected: Any, rows: int) -> None:
    """Check the positions that a sampler chose."""
    _sequence(selected, "a list of positions")
    for position in selected:
        if not isinstance(position, Integral) or isinstance(position, bool):
            raise PluginError(
                f"gave {_type(position)} among its positions; whole numbers were expected"
            )
        if not 0 <= int(position) < rows:
            raise PluginError(f"selected a row that is not there, {position}; there are {rows}")
    if len(set(selected)) != len(selected):
        raise PluginError("selected a row twice")


def check_scores(found: Any, rows: int) -> None:
    """Check what a scorer found."""
    if not isinstance(found, Scores):
        raise PluginError(f"gave {_type(found)}; Scores were expected")
    answers: list[tuple[Any, str]] = [(found.values, "scores")]
    if found.predictions is not None:
        answers.append((found.predictions, "predictions"))
    for values, what in answers:
        _sequence(values, f"{what} for {rows} rows")
        if len(values) != rows:
            raise PluginError(f"gave {len(values)} {what} for {rows} rows")
    for number, value in enumerate(found.values):
        if value is not None and not _finite(value):
            raise PluginError(f"returned a number that is not finite: {value!r}", row=number)


def _finite(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)


def check_renderings(renderings: Any, row: str) -> None:
    """Check the samples that a template made of a row."""
    if not isinstance(renderings, list):
        raise PluginError(f"gave {_type(renderings)}; a list of Renderings was expected", row=row)
    for rendering in renderings:
        if not isinstance(rendering, Rendering) or not isinstance(rendering.text, str):
            raise PluginError(f"gave {_type(rendering)} among its Renderings", row=row)
        at = [0, *(bound for span in rendering.spans for bound in span), len(rendering.text)]
        if at != sorted(at):
            raise PluginError(f"gave spans that do not lie in its text: {rendering.spans}", row=row)


def check_pin(pin: Any) -> None:
    """Check what a source resolved to."""
    if not isinstance(pin, Pin):
        raise PluginError(f"gave {_type(pin)}; a Pin was expected")


def _metrics(metrics: Any) -> None:
    if not isinstance(metrics, dict):
        raise PluginError(f"gave {_type(metrics)} as metrics; a mapping was expected")
    for name, value in metrics.items():
        if not isinstance(name, str) or not _finite(value):
            raise PluginError(f"gave {value!r} as metric `{name}`; a finite number was expected")


def check_trained(result: Any) -> None:
    """Check a runtime's result."""
    if not isinstance(result, TrainingResult):
        raise PluginError(f"gave {_type(result)}; a TrainingResult was expected")
    _metrics(result.metrics)
    _sequence(result.trace, "a trace with an entry per optimizer step")
    if result.states is not None:
        _states(result)


def _states(result: TrainingResult) -> None:
    """Check that states and trace fit together, and that the states can be kept."""
    assert result.states is not None
    made = {state.step: state.digest() for state in result.states.bounds}
    told = {entry["step"]: entry[IN_TRACE] for entry in result.trace if IN_TRACE in entry}
    if made != told or max(made) != len(result.trace):
        raise PluginError(
            f"returned states after steps {sorted(made)} and a trace of {len(result.trace)} steps "
            f"with digests of states at {sorted(told)}; the same ones, including the last step's, "
            f"were expected, each as `{IN_TRACE}`"
        )
    if result.states_folder is None:
        raise PluginError("returned states without `states_folder`, the folder of their files")
    for state in result.states.bounds[:-1]:
        for group in state.tensors:
            path = result.states_folder / state.folder / f"{group}.safetensors"
            if not path.is_file():
                raise PluginError(
                    f"returned a state after step {state.step}, and wrote no {path.name}"
                )


def check_replayed(result: Any, segments: Sequence[TrainingSegment]) -> None:
    """Check what a runtime gave for segments that it executed again."""
    if not isinstance(result, Replay):
        raise PluginError(f"gave {_type(result)}; a Replay was expected")
    if len(result.segments) != len(segments):
        raise PluginError(f"gave {len(result.segments)} segments of {len(segments)} asked for")
    for asked, given in zip(segments, result.segments, strict=True):
        wanted, steps = asked.last - asked.first + 1, len(given.trace)
        if steps != wanted:
            raise PluginError(f"gave {steps} entries for the {wanted} steps from {asked.first}")
        if asked.adapter_step is not None and given.adapter is None:
            raise PluginError(
                f"returned no adapter of step {asked.adapter_step}, which was asked for"
            )


def check_evaluated(result: Any) -> None:
    """Check what an evaluator measured."""
    if not isinstance(result, EvaluationResult):
        raise PluginError(f"gave {_type(result)}; an EvaluationResult was expected")
    _metrics(result.metrics)
    _sequence(result.predictions, "a list with a prediction for each row that was used")


def check_breaches(breaches: Any) -> None:
    """Check what a rule found."""
    _sequence(breaches, "a list of Breaches")
    for breach in breaches:
        if not isinstance(breach, Breach) or not isinstance(breach.message, str):
            raise PluginError(f"gave {_type(breach)} among its Breaches")
