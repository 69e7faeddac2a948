"""Write the rows that a step of a run left, with id, source, task, license and all their columns.

The name of the file decides on the format: `.jsonl`, `.parquet` or `.csv`, where lists and turns
are JSON texts. Without `--to`, JSON lines are printed. Rows of the mixture have a column `split`
that is `train` or `validation`.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from ..project.curation import open_rows, write_rows
from .arguments import rows_argument
from .output import emit, size


def arguments(parser: ArgumentParser) -> None:
    """Add the command's arguments."""
    rows_argument(parser)
    parser.add_argument("--to", metavar="FILE", help="file to write: .jsonl, .parquet or .csv")


def run(options: Namespace) -> int:
    """Write the rows, or print them."""
    past, rows = open_rows(options.run, options.step, store=options.store)
    document = {
        "run": past.name,
        "step": rows.step,
        "rows": rows.table.num_rows,
        "sides": rows.sides(),
        "columns": rows.table.column_names,
    }
    if options.to is None:
        from ..runtime.curation.write import json_lines

        if options.json:
            emit(options, document | {"values": rows.table.to_pylist()}, "")
            return 0
        for line in json_lines(rows.table):
            print(line)
        return 0
    path = Path(options.to)
    write_rows(past, rows, path)
    sides = ", ".join(f"{count:,} {side}" for side, count in rows.sides().items())
    words = f"wrote {path}: {rows.table.num_rows:,} rows of {rows.step}"
    if path.is_file():
        words += f", {size(path.stat().st_size)}"
    emit(options, document | {"to": str(path)}, words + (f" ({sides})" if sides else ""))
    return 0
