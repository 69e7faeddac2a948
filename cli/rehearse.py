"""Rehearse the whole plan on a few rows per source and a tiny model.

Errors of a long run show up here first. Sources come from the store, from this machine, from a
mirror, or, with `--fetch`, over the network; rows of other sources are generated and reported.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import Any

from ..project.mirrors import open_mirror
from ..project.rehearse import ROWS, Rehearsed, check_rows, rehearse
from ..project.workers import use_workers
from .arguments import mirror_argument, recipe_argument, until_argument, workers_argument
from .display import Display
from .output import columns, duration, emit
from .session import open_session


def arguments(parser: ArgumentParser) -> None:
    """Add the command's arguments."""
    recipe_argument(parser)
    until_argument(parser)
    mirror_argument(parser)
    workers_argument(parser)
    parser.add_argument("--rows", type=int, default=ROWS, metavar="N", help="rows per source (64)")
    parser.add_argument(
        "--fetch", action="store_true", help="download a few files of pinned sources"
    )


def run(options: Namespace) -> int:
    """Rehearse, and print what was replaced or left out."""
    check_rows(options.rows)
    use_workers(options.workers)
    done = rehearse(
        open_session(options),
        Display(options),
        rows=options.rows,
        fetch=options.fetch,
        mirror=open_mirror(options.mirror),
    )
    emit(options, _document(done), _text(options.file, done))
    return 0


def _document(done: Rehearsed) -> dict[str, Any]:
    return {
        "rehearsed": True,
        "seconds": round(done.seconds, 3),
        "steps": [
            {
                "name": step.name,
                "kind": step.kind,
                "plugin": step.plugin,
                "seconds": step.seconds,
                "facts": step.result.facts,
                "note": done.notes.get(step.name),
            }
            for step in done.steps
        ],
    }


def _text(name: str, done: Rehearsed) -> str:
    lines = [f"rehearsed {len(done.steps)} steps in {duration(done.seconds)}"]
    if done.notes:
        lines += ["not as in a run:", columns(sorted(done.notes.items()))]
    return "\n".join([*lines, f"next: recipe run {name}"])
