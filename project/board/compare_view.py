"""What the board says of several runs side by side: metrics, recipes, curves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ...runtime.report.charts import Chart, Curve, curves, figure
from ...runtime.report.compare_page import CHARTS, shown_value
from ...runtime.report.training import ACROSS, trace_of, worded
from ...schema.errors import InputError, StoreError
from ..comparison import Comparison, compare
from ..diff_operands import open_operand
from ..difference import difference
from ..run_lookup import Run

MOST = 6
"""Runs that are compared at once, at most."""


@dataclass(frozen=True)
class CompareView:
    """Runs side by side.

    Attributes:
        labels: `A`, `B`, … with the runs' names.
        metrics: a row for each metric, with its value for each run.
        pairs: for each run but the first, what differs from the first, with intervals.
        changes: for each run but the first, the values of the recipe that differ; or why not.
        charts: curves of all runs in one.
        note: why metrics are not compared row by row.
    """

    labels: Sequence[tuple[str, str]]
    metrics: Sequence[Sequence[str]]
    pairs: Sequence[tuple[str, Sequence[Sequence[str]]]]
    changes: Sequence[tuple[str, Sequence[Sequence[str]], str]]
    charts: Sequence[Chart]
    note: str


def compare_view(runs: Sequence[Run]) -> CompareView:
    """Return what a page of several runs shows.

    Raises:
        InputError: there are fewer than two, or too many.
    """
    if not 2 <= len(runs) <= MOST:
        raise InputError(f"{len(runs)} runs are chosen", hint=f"choose 2 to {MOST} to compare")
    letters = "ABCDEF"[: len(runs)]
    found: Comparison | None = None
    note = ""
    try:
        found = compare(runs, list(letters))
    except (InputError, StoreError) as error:
        note = f"Rows are not compared: {error.message}."
    return CompareView(
        labels=[(letter, run.name) for letter, run in zip(letters, runs, strict=True)],
        metrics=_metrics(runs),
        pairs=_pairs(found) if found else [],
        changes=[
            _changes(letters[0], runs[0], letter, run)
            for letter, run in list(zip(letters, runs, strict=True))[1:]
        ],
        charts=_charts(letters, runs),
        note=note,
    )


def _metrics(runs: Sequence[Run]) -> list[list[str]]:
    names = dict.fromkeys(name for run in runs for name in run.metrics)
    return [
        [worded(name), *(figure(run.metrics[name]) if name in run.metrics else "" for run in runs)]
        for name in names
        if not name.endswith("_before")
    ]


def _pairs(found: Comparison) -> list[tuple[str, list[list[str]]]]:
    pairs = []
    for pair in found.pairs:
        rows = []
        for one in pair.metrics:
            if one.difference is not None and one.interval is not None:
                low, high = one.interval
                between = f"{low:+.4g} to {high:+.4g}"
                count = f"{one.rows or 0:,}"
                rows.append([worded(one.name), figure(one.difference, "+"), between, count])
        gained = sum(row.to == "right" for row in pair.changed)
        lost = len(pair.changed) - gained
        title = f"{pair.after} less {pair.before}: {gained:,} rows gained, {lost:,} lost"
        pairs.append((title, rows))
    return pairs


def _changes(first: str, one: Run, letter: str, other: Run) -> tuple[str, list[list[str]], str]:
    title = f"Values of the recipe that differ between {first} and {letter}"
    try:
        a, b = (open_operand(str(run.folder), store=run.store.root) for run in (one, other))
        found = difference(a, b).changes
    except InputError as error:
        return (
            title,
            [],
            f"The recipes of {first} and {letter} cannot be compared: {error.message}.",
        )
    rows = [[each.path, shown_value(each.before), shown_value(each.after)] for each in found]
    return title, rows, "" if rows else f"{first} and {letter} ask for the same."


def _charts(letters: Sequence[str], runs: Sequence[Run]) -> list[Chart]:
    traces: list[tuple[str, Any]] = [
        (letter, trace_of(run.record, run.store)) for letter, run in zip(letters, runs, strict=True)
    ]
    made = []
    for name, title, points in CHARTS:
        sparse = name == "held"
        found = [Curve(letter, points(trace), sparse) for letter, trace in traces if trace]
        there = [curve for curve in found if curve.points]
        if there:
            made.append(curves(name, title, there, across=ACROSS, up=title.lower()))
    return made
