"""What the page of a run says: of a finished one from its record, of another from its journal."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from ...runtime.journal import Watched, WatchedStep
from ...runtime.report.charts import Chart, Curve, curves, figure
from ...runtime.report.flow import step_flows
from ...runtime.report.training import cost_rows, metric_rows, training_charts, worded
from ...runtime.report.words import machine
from ...runtime.store.runs import trained
from ...schema.record import Record
from ...schema.units import duration
from ..run_lookup import Run

FIGURES = 4
"""Figures of a running step that are drawn, at most."""
UNIT = re.compile(r"[\w /]{1,30}")
"""A unit that a chart can have; a journal may hold anything."""


@dataclass(frozen=True)
class StepLine:
    """A step in the page of a run: its name, plugin, status, time, and what it says beside."""

    name: str
    plugin: str
    status: str
    seconds: str
    note: str
    share: float | None = None


@dataclass(frozen=True)
class RunView:
    """What a run's page shows.

    Attributes:
        tiles: figures at the top: name, figure, and words below.
        facts: name, value, and whether it is claimed.
        steps: the steps in order.
        charts: curves of its training, or of the step that runs.
        metrics: metrics with the base alone and after training; the last cell is empty.
        numbers: figures without a counterpart of the base.
        cost: estimated and measured cost.
        hashes: name and digest.
        commands: what to do with it, each with what that does.
        settings: values set for this run.
    """

    tiles: Sequence[tuple[str, str, str]]
    facts: Sequence[tuple[str, str, bool]]
    steps: Sequence[StepLine]
    charts: Sequence[Chart]
    metrics: Sequence[Sequence[str]] = ()
    numbers: Sequence[Sequence[str]] = ()
    cost: Sequence[Sequence[str]] = ()
    hashes: Sequence[tuple[str, str]] = ()
    commands: Sequence[tuple[str, str]] = ()
    settings: Sequence[str] = field(default=())


def finished_view(run: Run) -> RunView:
    """Return what the page of a finished run shows."""
    record = run.record
    return RunView(
        tiles=_tiles(record),
        facts=_facts(record),
        steps=_steps(record),
        charts=training_charts(record, run.store),
        metrics=[row[:4] for row in metric_rows(record, ())],
        numbers=_numbers(record),
        cost=cost_rows(record),
        hashes=[("recipe hash", record.recipe_hash), ("result hash", record.result_hash)],
        commands=_commands(run),
        settings=record.settings,
    )


def watched_view(found: Watched) -> RunView:
    """Return what the page of an unfinished run shows."""
    current = found.current
    tiles = [("steps done", f"{found.done} of {len(found.steps)}", "")]
    if current is not None:
        share = current.share
        how_far = "" if share is None else f"{100 * share:.0f} %"
        tiles.append(("step", current.name, how_far))
        tiles.append(("running for", duration(current.seconds or 0.0), _left(current)))
        for name, points in list(found.figures.items())[:2]:
            tiles.append((name, figure(points[-1][1]), f"{figure(points[0][1])} at first"))
    return RunView(
        tiles=tiles,
        facts=[("started", found.started.replace("T", " "), True)],
        steps=[_watched_line(step) for step in found.steps],
        charts=list(_live_charts(found)),
        hashes=[("recipe hash", found.recipe_hash)],
    )


def outcome(metrics: Any, most: int = 2) -> list[tuple[str, str, str]]:
    """Return metrics that were measured before and after: name, before, after; at most so many."""
    found = []
    for name, after in metrics.items():
        before = metrics.get(f"{name}_before")
        if before is not None and name.rpartition(".")[2] != "rows":
            label = "validation loss" if name == "eval_loss" else worded(name)
            found.append((label, f"{before:.3f}", f"{after:.3f}"))
    return found[:most]


# ---- finished ---------------------------------------------------------------------------------


def _tiles(record: Record) -> list[tuple[str, str, str]]:
    tiles = [
        (label, after, f"{before} with the base alone")
        for label, before, after in outcome(record.metrics, 3)
    ]
    step = trained(record)
    if step is not None and "steps" in record.metrics:
        tiles.append(("optimizer steps", f"{record.metrics['steps']:,.0f}", ""))
    facts: Any = {}
    for done in record.steps:
        facts = done.result.facts if "rows_out" in done.result.facts else facts
    if "rows_out" in facts:
        held = facts.get("held_out")
        tiles.append(
            ("rows", f"{facts['rows_out']:,}", f"and {held:,} for validation" if held else "")
        )
    tiles.append(("time", duration(record.seconds), "claimed"))
    return tiles


def _facts(record: Record) -> list[tuple[str, str, bool]]:
    facts = [("started", record.when, True)]
    facts.append(("machine", machine(record), True))
    facts.append(("seed", str(record.seed), False))
    if record.until:
        facts.append(("ended with", record.until, False))
    if record.evaluates is not None:
        facts.append(("evaluates the run of result", record.evaluates.result_hash, True))
    return facts


def _steps(record: Record) -> list[StepLine]:
    flows = {flow.step: flow for flow in step_flows(record)}
    lines = []
    for step in record.steps:
        flow = flows.get(step.name)
        note = "" if flow is None else f"{flow.given:,} → {flow.kept:,} rows"
        if flow is not None and flow.drops:
            drops = sorted(flow.drops.items(), key=lambda drop: -drop[1])[:2]
            note += "; " + ", ".join(f"{reason} {count:,}" for reason, count in drops)
        took = "" if step.status == "cached" else duration(step.seconds)
        lines.append(StepLine(step.name, step.plugin, step.status, took, note))
    return lines


def _numbers(record: Record) -> list[list[str]]:
    found = record.metrics
    return [
        [worded(name), figure(value)]
        for name, value in found.items()
        if f"{name}_before" not in found and not name.endswith("_before")
    ]


def _commands(run: Run) -> list[tuple[str, str]]:
    name = run.name
    if trained(run.record) is None:
        return [
            (f"recipe stats {name}", "counts its rows: lengths, tasks, overlap, languages"),
            (f"recipe rows {name} --to rows.jsonl", "writes them to a file"),
        ]
    return [
        (f"recipe chat {name}", "talks to the model, and to its base"),
        (f"recipe predictions {name}", "lists what it was asked and what it answered"),
        (f"recipe export {name} --to gguf", "writes the model for llama.cpp"),
        (f"recipe audit {name} --rerun", "executes every step again, and compares"),
    ]


# ---- unfinished -------------------------------------------------------------------------------


def _watched_line(step: WatchedStep) -> StepLine:
    took = "" if step.seconds is None or step.status == "cached" else duration(step.seconds)
    note = ""
    if step.status in ("running", "stopped") and (step.done or step.total):
        count = f"{step.done:,}" + (f" of {step.total:,}" if step.total else "")
        rate = f"{step.rate:,.0f} tokens/s" if step.rate else ""
        note = "   ".join(filter(None, (f"{count} {step.unit}", step.note, rate)))
    share = step.share if step.status in ("running", "stopped") else None
    return StepLine(step.name, step.plugin, step.status, took, note, share)


def _left(step: WatchedStep) -> str:
    """Return the time that a step still takes, if it goes on as it did."""
    if not step.share or step.seconds is None or step.share < 0.02 or step.status != "running":
        return ""
    return f"about {duration(step.seconds / step.share - step.seconds)} left"


def _live_charts(found: Watched) -> Iterator[Chart]:
    current = found.current
    for name, points in list(found.figures.items())[:FIGURES]:
        if len(points) > 1:
            unit = current.unit if current is not None else ""
            across = unit if UNIT.fullmatch(unit) else "done"
            curve = Curve(name, points)
            yield curves(f"live-{name.replace(' ', '-')}", name, [curve], across=across, up=name)
