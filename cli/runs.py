"""List the runs in the store, newest first; with a name, show one of them in full."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import Any

from ..project.run_lookup import ListedRun, Run, list_runs, open_run
from ..project.session import store_folder
from ..schema.errors import InputError
from ..schema.record import Record
from .arguments import RUN
from .output import beside, columns, duration, emit
from .step_summary import described, token_lengths

LIMIT = 30
METRICS = 2
"""Metrics in a line of the list."""


def arguments(parser: ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("run", nargs="?", metavar="RUN", help=RUN)
    parser.add_argument(
        "--limit", type=int, default=LIMIT, metavar="N", help="list at most N runs (default: 30)"
    )
    parser.add_argument(
        "--all", action="store_const", dest="limit", const=None, help="list all runs"
    )
    parser.add_argument("--before", metavar="RUN", help="list only runs that started before RUN")


def run(options: Namespace) -> int:
    """Print a line per run, or one run's steps and hashes."""
    if options.run:
        past = open_run(options.run, store=options.store)
        emit(options, past.record.to_json(), _one(past))
        return 0
    limit = options.limit
    if limit is not None and limit < 1:
        raise InputError(f"--limit {limit}: at least 1 was expected", hint="or `--all`")
    runs = list_runs(limit and limit + 1, options.before, store=options.store)
    page = runs[:limit]
    text = columns([_row(found) for found in page]) or f"no runs in {store_folder(options.store)}"
    if len(runs) > len(page):
        text += f"\nolder ones: recipe runs --before {page[-1].folder.name}"
    emit(options, [_document(found) for found in page], text)
    return 0


def _row(found: ListedRun) -> tuple[str, ...]:
    """Return a run's name, time, the starts of its hashes, its metrics, and what was set for it."""
    record = found.record
    if record is None:
        step = found.watched.current if found.watched else None
        where = f"in {step.name}" if step else ""
        return found.folder.name, found.status, where, "", "", ""
    settings = [f"--set {text}" for text in record.settings]
    settings += [f"--until {record.until}"] if record.until else []
    return (
        found.folder.name,
        duration(record.seconds),
        f"recipe {record.recipe_hash[7:15]}",
        f"result {record.result_hash[7:15]}",
        _outcome(record),
        " ".join(settings),
    )


def _outcome(record: Record) -> str:
    """Return the metrics that were measured before and after training; of data alone, its rows."""
    words = []
    for name, after in record.metrics.items():
        before = record.metrics.get(f"{name}_before")
        if before is not None and name.rpartition(".")[2] != "rows":
            label = "validation loss" if name == "eval_loss" else name.replace("_", " ")
            words.append(f"{label} {before:.3f} -> {after:.3f}")
    if not words and record.steps:
        facts: Any = record.steps[-1].result.facts
        words += [f"{facts['rows_out']:,} rows"] if "rows_out" in facts else []
    return ", ".join(words[:METRICS])


def _document(found: ListedRun) -> dict[str, Any]:
    record = found.record
    return {
        "run": str(found.folder),
        "status": found.status,
        "started": record.started if record else None,
        "recipe_hash": record.recipe_hash if record else None,
        "result_hash": record.result_hash if record else None,
        "metrics": record.metrics if record else {},
        "settings": list(record.settings) if record else [],
        "until": record.until if record else None,
    }


def _one(past: Run) -> str:
    record, claimed = past.record, past.claimed_metrics()
    rows = [
        (step.name, step.plugin, step.status, described(step.kind, step.result))
        for step in record.steps
    ]
    metrics = [
        (name, f"{value:.4g}", "claimed" if name in claimed else "")
        for name, value in record.metrics.items()
    ]
    head = f"{record.recipe}   {record.when}   {duration(record.seconds)}   (claimed)"
    hashes = f"recipe hash  {record.recipe_hash}\nresult hash  {record.result_hash}"
    if record.evaluates is not None:
        hashes += f"\nevaluates    {record.evaluates.result_hash}   (claimed)"
    settings = [f"  --set {text}" for text in record.settings]
    packed = [
        columns(token_lengths(dict(step.result.facts)))
        for step in record.steps
        if step.kind == "pack"
    ]
    tables = [columns(rows), *packed, columns(metrics)]
    told = f"claimed, in no hash: {', '.join(past.claims())}"
    return "\n".join([head, *settings, *filter(None, tables), *beside(record), hashes, told])
