"""List the answers of a run's evaluation: prompt, reference, prediction and scores of each row.

The trained model's answers are listed unless `--base` is given. `--json` and `--csv` have every
row, `--json` every character as it is.
"""

from __future__ import annotations

import csv
import io
from argparse import ArgumentParser, Namespace
from dataclasses import asdict

from ..project.predictions import (
    ScoredRow,
    Side,
    choose_evaluation,
    evaluator_and_side,
    is_right,
    matching,
    right_scores,
)
from ..project.run_lookup import open_run
from ..schema.errors import InputError
from ..schema.printable import one_line
from .arguments import run_argument
from .output import emit
from .wrap import field, width_of_terminal

LIMIT, LINES = 20, 3


def arguments(parser: ArgumentParser) -> None:
    """Add the command's arguments."""
    run_argument(parser)
    parser.add_argument("--evaluator", metavar="NAME", help="the evaluator; the first by default")
    side = parser.add_mutually_exclusive_group()
    side.add_argument("--base", action="store_true", help="answers of the base alone")
    side.add_argument("--adapter", action="store_true", help="of the trained model (default)")
    kept = parser.add_mutually_exclusive_group()
    kept.add_argument("--wrong", action="store_true", help="only rows with less than full score")
    kept.add_argument("--right", action="store_true", help="only rows with full score")
    parser.add_argument(
        "--score", metavar="NAME", help="the score that says what is right (a default is chosen)"
    )
    parser.add_argument("--search", metavar="TEXT", help="only rows that have this text, any case")
    parser.add_argument(
        "-n",
        "--limit",
        type=int,
        metavar="N",
        help=f"number of rows (default: {LIMIT}, and all with --json or --csv; 0 for all)",
    )
    parser.add_argument("--csv", action="store_true", dest="table", help="print a table in CSV")


def run(options: Namespace) -> int:
    """Print the rows that pass the filters."""
    if options.table and options.json:
        raise InputError("--csv and --json exclude each other", hint="leave one of them out")
    if options.limit is not None and options.limit < 0:
        raise InputError(f"--limit {options.limit}: 0 or more was expected", hint="0 shows all")
    past = open_run(options.run, store=options.store)
    side: Side = "base" if options.base else "adapter"
    name = choose_evaluation(past.evaluations, past.name, options.evaluator, side)
    rows = past.scored_rows(name)
    right = True if options.right else False if options.wrong else None
    found = matching(rows, right=right, score=options.score, search=options.search)
    limit = options.limit
    if limit is None:
        limit = 0 if options.json or options.table else LIMIT
    shown = found[:limit] if limit else found
    evaluator, model = evaluator_and_side(name)
    scores = _scores(rows, options.score)
    document = {
        "run": str(past.folder),
        "evaluation": name,
        "evaluator": evaluator,
        "model": model,
        "right_by": {group or evaluator: score for group, score in scores.items()},
        "rows": len(rows),
        "matching": len(found),
        "predictions": [asdict(row) for row in shown],
    }
    text = _table(shown) if options.table else _text(options, name, rows, found, shown, scores)
    emit(options, document, text)
    return 0


def _scores(rows: list[ScoredRow], name: str | None) -> dict[str, str]:
    """Return the scores that decide; none where none does and none was asked for."""
    try:
        return right_scores(rows, name)
    except InputError:
        if name is not None:
            raise
        return {}


def _table(rows: list[ScoredRow]) -> str:
    """Return the rows as CSV; several references stand below one another in their cell."""
    scores = list(dict.fromkeys(name for row in rows for name in row.scores))
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["id", "prompt", "references", "prediction", *scores])
    for row in rows:
        cells = [row.id, row.prompt, "\n".join(row.references), row.prediction]
        writer.writerow([*cells, *(row.scores.get(name, "") for name in scores)])
    return out.getvalue().rstrip("\n")


def _text(
    options: Namespace,
    name: str,
    rows: list[ScoredRow],
    found: list[ScoredRow],
    shown: list[ScoredRow],
    scores: dict[str, str],
) -> str:
    counted = f"  {len(rows):,} rows"
    if scores:
        told = [is_right(row, scores) for row in rows]
        by = ", ".join(dict.fromkeys(scores.values()))
        counted += f": {told.count(True):,} right, {told.count(False):,} wrong by {by}"
    lines, width = [name, counted], width_of_terminal()
    for row in shown:
        lines += ["", *_row(row, width, None if options.verbose else LINES)]
    if len(found) < len(rows) or len(shown) < len(found):
        lines += ["", f"  {len(shown):,} of {len(found):,} matching rows"]
        if len(shown) < len(found):
            lines[-1] += "; --limit 0 shows all"
    return "\n".join(lines)


def _row(row: ScoredRow, width: int, lines: int | None) -> list[str]:
    scores = "   ".join(f"{name} {value:.4g}" for name, value in row.scores.items())
    head, space = f"  {one_line(row.id)}", "   "
    found = [head + space + scores] if len(head + space + scores) <= width else [head]
    if len(found[0]) == len(head) and scores:
        found.append(f"    {scores}")
    found += field("prompt", row.prompt, width, lines)
    for number, reference in enumerate(row.references[:LINES] if lines else row.references):
        found += field("" if number else "reference", reference, width, lines)
    more = len(row.references) - LINES
    if lines and more > 0:
        found += field("", f"and {more} more", width)
    return found + field("prediction", row.prediction, width, lines)
