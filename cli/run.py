"""Run a recipe: pin sources, run the steps that are not cached (or resume), write the record."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Any

from ..project.launch import parse_launch
from ..project.mirrors import open_mirror
from ..project.run import FinishedRun, run_session
from ..project.workers import use_workers
from ..runtime.store.runs import exports, trained
from .arguments import (
    launch_argument,
    mirror_argument,
    recipe_argument,
    until_argument,
    workers_argument,
)
from .display import Display
from .interruption import report_interruption
from .output import beside, emit, short
from .session import open_session


def arguments(parser: ArgumentParser) -> None:
    """Add the command's arguments."""
    recipe_argument(parser)
    until_argument(parser)
    mirror_argument(parser)
    workers_argument(parser)
    launch_argument(parser)
    parser.add_argument(
        "--locked", action="store_true", help="pin nothing: the lock must be complete"
    )


def run(options: Namespace) -> int:
    """Run, and print the record's main lines."""
    use_workers(options.workers)
    launch = None if options.launch is None else parse_launch(options.launch)
    session = open_session(options)
    display = Display(options)
    if session.shipped:
        display.notice(f"{options.file} is not a file here: running the recipe that ships")
    mirror = open_mirror(options.mirror)
    try:
        done = run_session(session, display, locked=options.locked, mirror=mirror, launch=launch)
    except KeyboardInterrupt:
        return report_interruption(display, options)
    emit(options, run_document(done), run_text(done))
    return 0


def run_document(done: FinishedRun) -> dict[str, Any]:
    """Return the JSON document of a finished run."""
    record, folder = done.record, done.run.folder
    why = done.misses.why if done.misses else {}
    steps = [
        {
            "name": step.name,
            "kind": step.kind,
            "plugin": step.plugin,
            "key": step.result.key,
            "digest": step.digests(),
            "status": step.status,
            "why": why.get(step.name),
            "seconds": step.seconds,
        }
        for step in record.steps
    ]
    return {
        "run": str(folder),
        "recipe_hash": record.recipe_hash,
        "result_hash": record.result_hash,
        "adapter": str(folder / "adapter") if trained(record) else None,
        "exports": {name: str(folder / "export" / name) for name in exports(record)},
        "steps": steps,
        "metrics": record.metrics,
        "claimed": {"metrics": done.run.claimed_metrics(), **done.run.claims()},
        "estimate": record.estimate.to_json() if record.estimate else None,
    }


def run_text(done: FinishedRun) -> str:
    """Return the lines that end a run: hashes, places, estimates, and what to do next."""
    record, folder = done.record, done.run.folder
    lines = []
    if not done.executed:
        count = len(record.steps)
        lines.append(
            f"{record.recipe}   recipe hash {short(record.recipe_hash)}   "
            f"{count} steps cached, nothing to run ({record.seconds:.1f} s)"
        )
    else:
        lines.append(f"recipe hash  {record.recipe_hash}")
    lines.append(f"result hash  {record.result_hash}")
    place = folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder
    lines.append(f"run          {place}")
    lines += [f"adapter      {place / 'adapter'}"] if trained(record) else []
    lines += [f"export       {place / 'export' / name}" for name in exports(record)]
    if (folder / "loss.png").is_file():
        lines.append(f"loss curve   {place / 'loss.png'}")
    lines += beside(record)
    lines.append(f"next: {_next(done)}")
    return "\n".join(lines)


def _next(done: FinishedRun) -> str:
    """Return the commands to go on with: for a run that trained nothing, those for its rows."""
    name = done.run.folder.name
    if trained(done.record):
        return f"recipe chat {name}   ·   recipe report {name}"
    if done.run.has("split"):
        return f"recipe stats {name}   ·   recipe rows {name} --to rows.jsonl"
    return f"recipe sample {name} --step {done.record.steps[-1].name}"
