"""Show some rows of a step of a run, to read them.

Which rows are shown follows from `--seed` and their ids alone, so the same command shows the same
rows on every machine.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from typing import Any

from ..project.curation import open_rows, sample_rows
from ..schema.printable import one_line
from .arguments import rows_argument
from .output import emit

COUNT = 20
CUT = 1_200
"""Characters of a field that are shown without -v."""
HEAD = ("source", "task", "license", "provenance", "split", "score")
"""Columns in the line below a row's id."""


def arguments(parser: ArgumentParser) -> None:
    """Add the command's arguments."""
    rows_argument(parser)
    parser.add_argument(
        "-n", type=int, default=COUNT, metavar="N", dest="count", help="number of rows (20)"
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="which rows (0)")


def run(options: Namespace) -> int:
    """Print the rows."""
    past, rows = open_rows(options.run, options.step, store=options.store)
    found = sample_rows(rows, options.count, options.seed)
    total = rows.table.num_rows
    document = {"run": past.name, "step": rows.step, "total": total, "rows": found}
    lines = [f"{len(found):,} of {total:,} rows of {rows.step}, drawn by seed {options.seed}"]
    for row in found:
        lines += ["", *_row(row, None if options.verbose else CUT)]
    emit(options, document, "\n".join(lines))
    return 0


def _row(row: Mapping[str, Any], width: int | None) -> list[str]:
    about = [
        f"{name} {one_line(str(row[name]))}" for name in HEAD if row.get(name) not in (None, "")
    ]
    lines = [one_line(row["id"]), f"  {'   '.join(about)}"]
    if row["turns"]:
        for turn in row["turns"]:
            lines += _field(turn["role"], turn["text"] or turn["extra"], width)
        return lines
    for name in ("instruction", "input", "output"):
        if row[name]:
            lines += _field(name, row[name], width)
    return lines


def _field(name: str, text: str, width: int | None) -> list[str]:
    """Return a field with each line of its text indented; a long text is truncated."""
    more = ""
    if width is not None and len(text) > width:
        more = f" … {len(text) - width:,} more characters (-v)"
        text = text[:width]
    first, *rest = (text + more).splitlines() or [""]
    label = one_line(name)[:12]
    return [f"  {label:<12} {first}", *(f"  {'':<12} {line}" for line in rest)]
