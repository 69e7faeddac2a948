"""The page of two runs: what differs in their recipes, and in what came of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ...schema.record import Record
from ...schema.units import duration, gibibytes
from .browsing import Browser, browser
from .charts import Chart, Curve, Point, curves, figure
from .flow import step_flows
from .page import render
from .row_browsers import compared_items
from .run_page import Reported
from .training import ACROSS, losses, points_of, trace_of, worded
from .words import GLOSSARY, machine

Points = Callable[[Sequence[dict[str, Any]]], Sequence[Point]]
CHARTS: tuple[tuple[str, str, Points], ...] = (
    ("loss", "Training loss per response token", lambda trace: losses(trace)[0].points),
    ("held", "Validation loss", lambda trace: points_of(trace, "eval_loss")),
    ("rate", "Learning rate", lambda trace: points_of(trace, "learning_rate")),
)
"""Charts by a name for their ids, with the points that they draw of a trace."""
LONG = 300
"""Characters of a changed value in the page."""


@dataclass(frozen=True)
class ChangedValue:
    """A value of the recipes that differs: its path, and what it is in each; None: not there."""

    path: str
    one: Any
    other: Any


def compare_page(one: Reported, other: Reported, changes: Sequence[ChangedValue]) -> str:
    """Return the page of two runs; the first is A, the second is B."""
    pair = (one, other)
    records = (one.record, other.record)
    return render(
        "compare.html",
        runs=[_facts(letter, found) for letter, found in zip("AB", pair, strict=True)],
        title=f"{one.name} and {other.name}",
        same=one.record.result_hash == other.record.result_hash,
        changes=[[each.path, shown_value(each.one), shown_value(each.other)] for each in changes],
        metrics=_metrics(*records),
        charts=_charts(one, other),
        flows=_flows(*records),
        sources=_sources(one, other),
        cost=_cost(*records),
        digests=_digests(*records),
        predictions=_predictions(one, other),
        glossary=GLOSSARY,
    )


def _facts(letter: str, found: Reported) -> dict[str, Any]:
    record = found.record
    return {
        "letter": letter,
        "facts": [
            ("run", found.name, False),
            ("started", record.when, True),
            ("machine", machine(record), True),
            ("time", duration(record.seconds), True),
        ],
        "hashes": [("recipe hash", record.recipe_hash), ("result hash", record.result_hash)],
    }


def shown_value(value: Any) -> str:
    """Return a value of a recipe as a page shows it: short, and as JSON unless it is text."""
    if value is None:
        return "(none)"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= LONG else f"{text[:LONG]} … {len(text) - LONG:,} more"


def _metrics(one: Record, other: Record) -> list[list[str]]:
    rows = []
    for name in dict.fromkeys([*one.metrics, *other.metrics]):
        a, b = one.metrics.get(name), other.metrics.get(name)
        change = "" if a is None or b is None else figure(b - a, "+")
        rows.append([worded(name), *("" if v is None else figure(v) for v in (a, b)), change])
    return rows


def _charts(one: Reported, other: Reported) -> list[Chart]:
    traces = {
        letter: trace_of(found.record, found.store) for letter, found in (("A", one), ("B", other))
    }
    made = []
    for name, title, points in CHARTS:
        found = [
            Curve(letter, points(trace), sparse=name == "held") for letter, trace in traces.items()
        ]
        there = [curve for curve in found if curve.points]
        if there:
            made.append(curves(name, title, there, across=ACROSS, up=title.lower()))
    return made


def _flows(one: Record, other: Record) -> list[list[str]]:
    found = [{step.step: step for step in step_flows(record)} for record in (one, other)]
    rows = []
    for name in dict.fromkeys(step for steps in found for step in steps):
        cells = [
            f"{steps[name].given:,} → {steps[name].kept:,}" if name in steps else ""
            for steps in found
        ]
        reasons = dict.fromkeys(r for steps in found if name in steps for r in steps[name].drops)
        counts = [
            f"{reason} {' / '.join(str(s[name].drops.get(reason, 0)) for s in found if name in s)}"
            for reason in reasons
        ]
        rows.append([name, *cells, ", ".join(counts)])
    return rows


def _sources(one: Reported, other: Reported) -> list[list[str]]:
    found = [each.statistics.sources if each.statistics else {} for each in (one, other)]
    names = dict.fromkeys(name for counts in found for name in counts)
    return [[name, *(f"{counts.get(name, 0):,}" for counts in found)] for name in names]


def _cost(one: Record, other: Record) -> list[list[str]]:
    rows = []
    for label, key, shown in (
        ("estimated memory", "memory_bytes", gibibytes),
        ("measured memory", "measured_memory_bytes", gibibytes),
        ("estimated time", "seconds", duration),
        ("measured time", "measured_seconds", duration),
    ):
        values = [getattr(each.estimate, key, None) for each in (one, other)]
        if any(value is not None for value in values):
            rows.append([label, *("" if value is None else shown(value) for value in values)])
    return rows


def _digests(one: Record, other: Record) -> list[list[str]]:
    """Return the steps of both runs, and whether what they gave is the same."""
    made = [{step.name: step.digests() for step in record.steps} for record in (one, other)]
    rows = []
    for name in dict.fromkeys(step for steps in made for step in steps):
        there = [name in steps for steps in made]
        if all(there):
            words = "the same" if made[0][name] == made[1][name] else "another result"
        else:
            words = f"in {'A' if there[0] else 'B'} only"
        rows.append([name, words])
    return rows


def _predictions(one: Reported, other: Reported) -> Browser | None:
    """Return the predictions of the trained models of both runs, row by row."""
    for name, sides in one.evaluations.items():
        theirs = other.evaluations.get(name, {})
        if "adapter" in sides and "adapter" in theirs:
            both = {"A": sides["adapter"], "B": theirs["adapter"]}
            items = list(compared_items(both, "A", "B"))
            labels = ["Asked", "Expected", "A", "B", "Task"]
            what = f"predictions of {name} by both runs"
            return browser("predictions-1", labels, items, len(items), what)
    return None
