"""What a training did: its curves, its cost beside the estimate, its metrics before and after."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from typing import Any

from ...schema.record import Record, RecordedStep
from ...schema.units import duration, gibibytes
from ..store.runs import trained
from ..store.store import Store
from .charts import Chart, Curve, curves

BEFORE = "_before"
"""Ends the name of a metric of the base alone."""
ACROSS = "optimizer step"


def training_charts(record: Record, store: Store) -> list[Chart]:
    """Return the loss, the learning rate and the gradient norm over a run's training."""
    trace = trace_of(record, store)
    if not trace:
        return []
    best = best_step(record)
    mark = None if best is None else (float(best), f"best, step {best:,}")
    found = [
        curves(
            "loss", "Loss per response token", losses(trace), across=ACROSS, up="loss", mark=mark
        )
    ]
    for name, key, title in (
        ("rate", "learning_rate", "Learning rate"),
        ("norm", "grad_norm", "Gradient norm before clipping"),
    ):
        points = points_of(trace, key)
        if points:
            curve = Curve(title.lower(), points)
            found.append(curves(name, title, [curve], across=ACROSS, up=title.lower()))
    return found


def trace_of(record: Record, store: Store) -> list[dict[str, Any]]:
    """Return the trace of a run's training; nothing where it trained none, or it is not here."""
    step = trained(record)
    if step is None:
        return []
    try:
        text = (store.folder(step.result.outputs["trace"]) / "values.json").read_bytes()
        found: list[dict[str, Any]] = json.loads(text)
        return found
    except (OSError, ValueError, KeyError):
        return []


def losses(trace: Sequence[dict[str, Any]]) -> list[Curve]:
    """Return the losses of a trace: of training, and of validation where there is any."""
    held = points_of(trace, "eval_loss")
    curve = Curve("training", points_of(trace, "loss"))
    return [curve, *([Curve("validation", held, sparse=True)] if held else [])]


def points_of(trace: Sequence[dict[str, Any]], key: str) -> list[tuple[float, float]]:
    """Return (optimizer step, value) of the entries that have a value."""
    return [(entry["step"], entry[key]) for entry in trace if entry.get(key) is not None]


def best_step(record: Record) -> int | None:
    """Return the step that the adapter was taken from, where that was chosen by validation."""
    found = record.metrics.get("best_step")
    return None if found is None or "eval_loss" not in record.metrics else int(found)


def metric_rows(record: Record, claimed: Collection[str]) -> list[list[str]]:
    """Return metrics with the base alone and after training, and the difference."""
    rows = []
    for name, value in record.metrics.items():
        before = record.metrics.get(f"{name}{BEFORE}")
        if before is None or name.split(".")[-1] == "rows":
            continue
        basis = "claimed" if name in claimed else "recomputed from predictions or trace"
        rows.append(
            [worded(name), f"{before:.4g}", f"{value:.4g}", f"{value - before:+.4g}", basis]
        )
    return rows


def worded(name: str) -> str:
    """Return the name of a metric in words."""
    return name.replace("_", " ")


def cost_rows(record: Record) -> list[list[str]]:
    """Return the estimated and the measured memory and time of a training, and their quotient."""
    found = record.estimate
    if found is None:
        return []
    rows = []
    for label, told, took, shown in (
        ("peak memory", found.memory_bytes, found.measured_memory_bytes, gibibytes),
        ("time", found.seconds, found.measured_seconds, duration),
    ):
        if took is not None:
            times = f"{took / told:.2f}" if told else ""
            rows.append([label, shown(told) if told is not None else "?", shown(took), times])
    return rows


def pack_rows(step: RecordedStep | None) -> list[list[str]]:
    """Return the figures of packing by side."""
    facts: Any = dict(step.result.facts) if step else {}
    rows = []
    for side in ("train", "validation"):
        found = facts.get(side)
        if found:
            cells = [found["rows"], found["packs"], found["tokens"], found["response_tokens"]]
            dropped = [found.get("truncated", 0), found.get("left_out", 0)]
            fill = f"{100 * found['fill']:.1f} %"
            rows.append([side, *(f"{n:,}" for n in cells), fill, *(f"{n:,}" for n in dropped)])
    return rows


PACK_HEAD = ("side", "rows", "packs", "tokens", "trained tokens", "full", "truncated", "left out")
