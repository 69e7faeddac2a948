"""List the runs in the store, newest first; with a name, show one of them in full."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from ..project.run_lookup import ListedRun, Run, list_runs, open_run
from ..project.session import store_folder
from ..schema.errors import InputError
from .arguments import RUN
from .output import beside, columns, duration, emit, short
from .step_summary import described, token_lengths

LIMIT = 30


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
    record = found.record
    if record is None:
        return found.folder.name, "unfinished", "", ""
    return found.folder.name, "finished", duration(record.seconds), short(record.result_hash)


def _document(found: ListedRun) -> dict[str, str | None]:
    return {
        "run": str(found.folder),
        "status": "finished" if found.record else "unfinished",
        "result_hash": found.record.result_hash if found.record else None,
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
    head = f"{record.recipe}   {record.started}   {duration(record.seconds)}   (claimed)"
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
