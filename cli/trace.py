"""Trace a row through a run: its source, what each step did with it, and where it ended."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ..project.run_lookup import open_run
from ..schema.printable import one_line
from .arguments import run_argument
from .output import columns, emit, quoted

if TYPE_CHECKING:
    from ..runtime.row_lineage import Event, Origin


def arguments(parser: ArgumentParser) -> None:
    """Add what this command takes."""
    run_argument(parser)
    parser.add_argument(
        "--row", required=True, metavar="ID", help="the row's id, or a unique end of it"
    )


def run(options: Namespace) -> int:
    """Print the row's origin and every step's word on it."""
    lineage = open_run(options.run, store=options.store).lineage()
    row_id = lineage.find(options.row)
    origin, events = lineage.origin(row_id), list(lineage.events(row_id))
    row = lineage.row(row_id)
    document = {
        "id": row_id,
        "origin": asdict(origin),
        "events": [asdict(event) for event in events],
        "row": row,
    }
    emit(options, document, _text(row_id, origin, events, row))
    return 0


def _text(row_id: str, origin: Origin, events: list[Event], row: dict[str, Any] | None) -> str:
    revision = f" at {origin.revision}" if origin.revision else ""
    lines = [
        one_line(row_id),
        f"  from {one_line(origin.file)}, record {origin.number} counted from 0,"
        f" of {origin.use} source `{origin.data_set}`{revision}",
    ]
    for name in ("instruction", "input", "output"):
        if row and row[name]:
            lines.append(f"  {name:<12} {quoted(row[name])}")
    rows = [(event.step, event.did, _detail(event)) for event in events]
    return "\n".join([*lines, "", columns(rows), "", f"  {_end(events[-1])}"])


def _detail(event: Event) -> str:
    parts = [text for text in (event.reason, event.detail) if text]
    for name, (before, after) in event.changes.items():
        parts.append(f"{name}: {quoted(before, 40)} -> {quoted(after, 40)}")
    return "   ".join(parts)


def _end(last: Event) -> str:
    if last.did in ("dropped", "left out"):
        return f"not trained on: {last.did} by {last.step} ({last.reason})"
    if "validation" in last.detail or last.did == "held out":
        return "not trained on: in the validation set"
    return "trained on"
