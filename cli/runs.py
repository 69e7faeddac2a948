"""List the runs in the store; with a name, show one of them in full."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from ..project.run_lookup import Run, open_run
from ..project.session import store_folder
from ..runtime.store.runs import all_runs
from ..runtime.store.store import Store
from .output import beside, columns, duration, emit, short
from .step_summary import described, token_lengths


def arguments(parser: ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("run", nargs="?", metavar="RUN", help="a run's name or folder")


def run(options: Namespace) -> int:
    """Print a line per run, or one run's steps and hashes."""
    store = Store(store_folder(options.store))
    if options.run:
        past = open_run(options.run, store=options.store)
        emit(options, past.record.to_json(), _one(past))
        return 0
    rows, documents = [], []
    for folder, found in all_runs(store):
        state = "finished" if found else "unfinished"
        result = short(found.result_hash) if found else ""
        took = duration(found.seconds) if found else ""
        rows.append((folder.name, state, took, result))
        documents.append({"run": str(folder), "status": state, "result_hash": result or None})
    emit(options, documents, columns(rows) or f"no runs in {store.root}")
    return 0


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
    head = f"{record.recipe}   {record.started}   {duration(record.seconds)}   (claimed)"
    hashes = f"recipe hash  {record.recipe_hash}\nresult hash  {record.result_hash}"
    settings = [f"  --set {text}" for text in record.settings]
    packed = [
        columns(token_lengths(dict(step.result.facts)))
        for step in record.steps
        if step.kind == "pack"
    ]
    tables = [columns(rows), *packed, columns(metrics)]
    told = f"claimed, in no hash: {', '.join(past.claims())}"
    return "\n".join([head, *settings, *filter(None, tables), *beside(record), hashes, told])
