"""Rehearse the whole plan on a few rows per source and a tiny model.

Errors of a long run show up here first. Sources come from the store, from this machine, from a
mirror, or, with `--fetch`, over the network; rows of other sources are generated and reported.
"""

from __future__ import annotations

import time
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Any

from ..runtime.tempdirs import scratch_folder
from ..schema.errors import InputError
from ..schema.record import RecordedStep
from .display import Display
from .mirrors import mirror_argument, open_mirror
from .output import columns, duration, emit
from .quiet import quiet
from .session import open_session, recipe_argument
from .workers import use_workers, workers_argument


def arguments(parser: ArgumentParser) -> None:
    """Add what this command takes."""
    recipe_argument(parser)
    mirror_argument(parser)
    workers_argument(parser)
    parser.add_argument("--rows", type=int, default=64, metavar="N", help="rows per source (64)")
    parser.add_argument(
        "--fetch",
        action="store_true",
        help="fetch a few files of pinned sources over the network",
    )


def run(options: Namespace) -> int:
    """Rehearse, and say what was real and what was not."""
    from ..runtime.rehearsal.rehearse import Rehearsal
    from ..runtime.store.store import Store

    if options.rows < 16:
        raise InputError("--rows must be at least 16: some are for validation, others are filtered")
    use_workers(options)
    session = open_session(options, options.file)
    plan = session.compiled.plan
    clock = time.monotonic()
    with (
        scratch_folder("rehearsal") as folder,
        quiet(Path(folder) / "log.txt") as screen,
        Display(plan, screen, options, len(plan.steps)) as display,
    ):
        rehearsal = Rehearsal(
            plan=plan,
            store=session.store,
            scratch=Store(Path(folder) / "store"),
            registry=session.registry,
            folders=session.compiled.folders,
            rows=options.rows,
            mirror=open_mirror(options),
            fetch=options.fetch,
        )
        steps = rehearsal.run(display)
    seconds = time.monotonic() - clock
    emit(
        options,
        _document(steps, rehearsal.notes, seconds),
        _text(options.file, steps, rehearsal.notes, seconds),
    )
    return 0


def _document(steps: list[RecordedStep], notes: dict[str, str], seconds: float) -> dict[str, Any]:
    return {
        "rehearsed": True,
        "seconds": round(seconds, 3),
        "steps": [
            {
                "name": step.name,
                "kind": step.kind,
                "plugin": step.plugin,
                "seconds": step.seconds,
                "facts": step.result.facts,
                "note": notes.get(step.name),
            }
            for step in steps
        ],
    }


def _text(name: str, steps: list[RecordedStep], notes: dict[str, str], seconds: float) -> str:
    lines = [f"rehearsed {len(steps)} steps in {duration(seconds)}"]
    if notes:
        lines += ["not as in a run:", columns(sorted(notes.items()))]
    return "\n".join([*lines, f"next: recipe run {name}"])
