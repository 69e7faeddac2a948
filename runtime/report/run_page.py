"""The page of a run: its data, its training, its predictions, and how to check all of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ...schema.audit import AuditReport
from ...schema.plan import Plan
from ...schema.record import Record
from ...schema.units import duration
from ..curation.statistics import QUANTILES, Overlap, Statistics
from ..store.runs import trained
from ..store.store import Store
from .browsing import Browser
from .charts import MISSING, Chart, bars
from .flow import flow_chart, step_flows
from .page import render
from .row_browsers import Sides, drop_browser, prediction_browsers
from .training import (
    PACK_HEAD,
    best_step,
    cost_rows,
    metric_rows,
    pack_rows,
    training_charts,
    worded,
)
from .words import GLOSSARY, claimed_note, machine

TASKS = 25
"""Tasks and phrases in a page, at most."""


@dataclass(frozen=True)
class Reported:
    """A run and what was found about it.

    Attributes:
        name: the run.
        plan: the plan that ran.
        record: what happened.
        store: the store with its artifacts.
        statistics: of the rows that it ended with; None where the store lost them.
        claims: fields of its documents that no hash binds, by kind of claim.
        claimed_metrics: metrics that do not follow from trace and predictions.
        recipe: the lines of its recipe, every default written out, each with its origin.
        evaluations: by evaluator, what the base and the trained model answered.
        audit: an audit of this run, if one is given.
    """

    name: str
    plan: Plan
    record: Record
    store: Store
    statistics: Statistics | None
    claims: Mapping[str, Sequence[str]]
    claimed_metrics: Sequence[str]
    recipe: Sequence[tuple[str, str]]
    evaluations: Mapping[str, Sides] = field(default_factory=dict)
    audit: AuditReport | None = None


def run_page(found: Reported) -> str:
    """Return the page of a run."""
    record, store = found.record, found.store
    training, flow = training_charts(record, store), flow_chart(found.plan, record)
    predictions = prediction_browsers(found.evaluations)
    drops = drop_browser(found.plan, record, store)
    lengths = _lengths(found.statistics)
    drawn = [*training, *([lengths["chart"]] if lengths else [])]
    undrawn = any(chart.svg is None for chart in drawn)
    return render(
        "run.html",
        run=found,
        record=record,
        tiles=_tiles(found),
        facts=_facts(found),
        flow=flow,
        steps=[step.cells() for step in step_flows(record)],
        rows=_rows(found.statistics),
        lengths=lengths,
        packing=pack_rows(_step(record, "pack")),
        pack_head=PACK_HEAD,
        charts=training,
        numbers=_numbers(record),
        cost=cost_rows(record),
        metrics=metric_rows(record, found.claimed_metrics),
        predictions=predictions,
        drops=drops,
        notes=[MISSING] if undrawn else [],
        results=_results(record),
        verify=_verify(found),
        claimed=claimed_note(found.claims),
        glossary=GLOSSARY,
        sections=_sections(found, training, predictions, drops),
    )


def _sections(
    found: Reported, charts: Sequence[Chart], predictions: Sequence[Browser], drops: Browser | None
) -> list[tuple[str, str]]:
    there = {
        "flow": "Rows",
        "rows": "Composition" if found.statistics else "",
        "training": "Training" if charts or trained(found.record) else "",
        "predictions": "Predictions" if predictions else "",
        "drops": "Dropped rows" if drops else "",
        "recipe": "Recipe",
        "verify": "Hashes and proof",
    }
    return [(name, title) for name, title in there.items() if title]


def _tiles(found: Reported) -> list[tuple[str, str, str]]:
    """Return the figures to read first: a name, a figure, and what stands below it."""
    record, tiles = found.record, []
    split, pack = (_fact(record, name) for name in ("split", "pack"))
    if split:
        tiles.append(
            ("rows to train on", f"{split['rows_out']:,}", f"{split['held_out']:,} for validation")
        )
    if pack:
        side = pack["train"]
        full = f"{side['packs']:,} packs, {100 * side['fill']:.1f} % full"
        tiles.append(("tokens", f"{side['tokens']:,}", full))
    metrics = record.metrics
    if "eval_loss" in metrics:
        before = metrics.get("eval_loss_before")
        was = "" if before is None else f"{before:.3f} before"
        tiles.append(("validation loss", f"{metrics['eval_loss']:.3f}", was))
    for row in metric_rows(record, ())[:3]:
        if row[0] != "eval loss":
            tiles.append((row[0], row[2], f"{row[1]} before training"))
    best = best_step(record)
    if "optimizer_steps" in metrics:
        more = "" if best is None else f"the best is step {best:,}"
        tiles.append(("optimizer steps", f"{metrics['optimizer_steps']:,.0f}", more))
    tiles.append(("time", duration(record.seconds), "claimed"))
    return tiles


def _facts(found: Reported) -> list[tuple[str, str, bool]]:
    record = found.record
    ended = [("ended with", record.until, False)] if record.until else []
    settings = [("set for this run", text, False) for text in record.settings]
    return [
        ("run", found.name, False),
        ("started", record.when, True),
        ("machine", machine(record), True),
        ("seed", str(record.seed), False),
        *ended,
        *settings,
    ]


def _rows(found: Statistics | None) -> dict[str, Any]:
    """Return the tables of what the rows are made of."""
    if found is None:
        return {}
    licenses = {name or "(none declared)": count for name, count in found.licenses.items()}
    languages = found.languages or {}
    return {
        "sources": _counted(found.sources),
        "tasks": _counted(found.tasks),
        "more_tasks": max(0, len(found.tasks) - TASKS),
        "licenses": _counted(licenses),
        "languages": _counted(languages),
        "drawn": f"{found.drawn:,} of {found.rows:,} rows"
        if found.drawn < found.rows
        else "all rows",
        "phrases": [[text, f"{count:,}"] for text, count in found.phrases],
        "overlaps": [
            [
                one.one,
                "itself" if one.one == one.other else one.other,
                one.compared,
                f"{one.rows:,}",
            ]
            for one in found.overlaps
        ],
    }


def _overlap(found: Overlap) -> list[str]:
    other = "itself" if found.one == found.other else found.other
    return [found.one, other, found.compared, f"{found.rows:,}"]


def _counted(counts: Mapping[str, int]) -> list[list[str]]:
    total = max(1, sum(counts.values()))
    return [
        [name, f"{count:,}", f"{100 * count / total:.1f} %"]
        for name, count in list(counts.items())[:TASKS]
    ]


def _lengths(found: Statistics | None) -> dict[str, Any]:
    """Return a histogram of lengths in the best unit there is, and quantiles by data set."""
    if found is None or not found.lengths:
        return {}
    unit = found.lengths[0].unit
    measured = [one for one in found.lengths if one.unit == unit]
    chart = bars("lengths", f"Lengths of rows in {unit}", measured[0].bins, across=unit, up="rows")
    rows = [
        [one.of, f"{one.count:,}", *(f"{one.quantiles[name]:,}" for name in QUANTILES)]
        for one in measured
    ]
    before = [
        [f"{name}, {side}", *(f"{spread[word]:,}" for word in QUANTILES)]
        for side, sets in found.quantiles_before.items()
        for name, spread in sets.items()
    ]
    head = ["data set", "rows", *QUANTILES]
    return {"chart": chart, "unit": unit, "note": found.tokens_note, "head": head, "rows": rows,
            "before": before, "before_head": ["data set and side", *QUANTILES]}  # fmt: skip


def _numbers(record: Record) -> list[list[str]]:
    """Return the figures of training that are not compared with the base."""
    compared = {f"{name}_before" for name in record.metrics}
    return [
        [worded(name), f"{value:,.0f}" if value == int(value) else f"{value:.6g}"]
        for name, value in record.metrics.items()
        if name not in compared and f"{name}_before" not in record.metrics
    ]


def _results(record: Record) -> list[list[str]]:
    return [
        [step.name, step.plugin, step.status, f"{step.seconds:.1f}", output, digest]
        for step in record.steps
        for output, digest in step.digests().items()
    ]


def _verify(found: Reported) -> list[tuple[str, str]]:
    name = found.name
    commands = [
        (f"recipe audit {name}", "compares documents and bytes; nothing is executed"),
        (f"recipe audit {name} --rerun", "executes every step again from the pinned bytes"),
    ]
    if trained(found.record) is not None:
        words = "replays 4 segments of the training, drawn after the fact"
        commands.append((f"recipe audit {name} --segments 4", words))
    commands.append(
        (f"recipe bundle {name}", "packs the run into one file, for an auditor elsewhere")
    )
    commands.append((f"recipe sign {name} --key KEY", "says who stands for it"))
    return commands


def _fact(record: Record, name: str) -> dict[str, Any]:
    step = _step(record, name)
    return dict(step.result.facts) if step else {}


def _step(record: Record, name: str) -> Any:
    return next((step for step in record.steps if step.name == name), None)
