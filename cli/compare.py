"""Compare evaluated runs with the first of them, row by row; one run alone with its base.

Differences have a confidence interval by paired bootstrap over the rows that both models answered;
the same runs always give the same interval.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from dataclasses import asdict
from typing import Any

from ..project.comparison import ChangedRow, Comparison, Matched, MetricDifference, Pair, compare
from ..project.paired_bootstrap import CONFIDENCE, RESAMPLES
from ..project.run_lookup import open_run
from ..schema.errors import InputError
from ..schema.printable import one_line
from .arguments import RUN, consent_argument
from .format_value import both
from .output import columns, emit, short
from .wrap import field, paragraph, width_of_terminal

LIMIT, LINES, LABEL = 20, 3, 12


def arguments(parser: ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("runs", nargs="+", metavar="RUN", help=RUN)
    parser.add_argument(
        "--with", choices=["base"], dest="beside", help="show the base's metrics too"
    )
    parser.add_argument("--evaluator", metavar="NAME", help="only metrics and rows of this one")
    parser.add_argument("--score", metavar="NAME", help="the score that says which rows are right")
    parser.add_argument("--rows", action="store_true", help="list the rows that changed sides")
    parser.add_argument(
        "-n", "--limit", type=int, default=LIMIT, metavar="N", help="rows to list (20; 0 for all)"
    )
    parser.add_argument(
        "--confidence",
        type=float,
        default=CONFIDENCE,
        metavar="P",
        help=f"of the intervals (default: {CONFIDENCE})",
    )
    parser.add_argument(
        "--resamples",
        type=int,
        default=RESAMPLES,
        metavar="N",
        help=f"of the bootstrap (default: {RESAMPLES})",
    )
    consent_argument(parser)


def run(options: Namespace) -> int:
    """Print metrics side by side, differences, and the rows that changed sides."""
    if options.limit < 0:
        raise InputError(f"--limit {options.limit}: 0 or more was expected", hint="0 shows all")
    runs = [open_run(name, store=options.store) for name in options.runs]
    if len({past.folder.resolve() for past in runs}) < len(runs):
        raise InputError("a run is named twice", hint="one run alone is compared with its base")
    found = compare(
        runs,
        _labels(options.runs),
        evaluator=options.evaluator,
        with_base=options.beside == "base",
        score=options.score,
        confidence=options.confidence,
        resamples=options.resamples,
        allow_local_plugins=options.allow_local_plugins,
    )
    emit(options, _document(found), _text(found, options))
    return 0


def _labels(names: list[str]) -> list[str]:
    """Return the names as they were given, where they are short, else letters."""
    if all(len(name) <= LABEL for name in names) and len(set(names)) == len(names):
        return names
    return [chr(ord("A") + n) if len(names) <= 26 else f"run {n + 1}" for n in range(len(names))]


def _document(found: Comparison) -> dict[str, Any]:
    return {
        "models": [
            {
                "label": model.label,
                "run": str(model.run.folder),
                "model": model.side,
                "recipe_hash": model.run.recipe_hash,
                "result_hash": model.run.result_hash,
            }
            for model in found.models
        ],
        "metrics": found.metrics,
        "confidence": found.confidence,
        "pairs": [_pair_document(pair) for pair in found.pairs],
    }


def _pair_document(pair: Pair) -> dict[str, Any]:
    recipe = None if pair.recipe is None else [change.as_json() for change in pair.recipe]
    return {
        "before": pair.before,
        "after": pair.after,
        "metrics": [asdict(one) for one in pair.metrics],
        "rows": [asdict(one) for one in pair.matched],
        "changed": [asdict(one) for one in pair.changed],
        "recipe": recipe,
        "note": pair.note,
    }


def _text(found: Comparison, options: Namespace) -> str:
    names = [
        (one_line(model.label), model.run.name, short(model.run.result_hash))
        for model in found.models
    ]
    parts = [columns(names), _metrics(found)]
    for pair in found.pairs:
        parts.append(_pair(pair, found.confidence, options.rows))
        if options.rows:
            parts += _rows(pair, options)
    return "\n\n".join(parts)


def _metrics(found: Comparison) -> str:
    """Return a table with a column for each model, its numbers aligned to the right."""
    table = [["", *(one_line(model.label) for model in found.models)]]
    for name, values in found.metrics.items():
        table.append([one_line(name), *(_number(value) for value in values)])
    widths = [max(len(row[n]) for row in table) for n in range(len(table[0]))]
    lines = []
    for head, *cells in table:
        shown = [cell.rjust(width) for cell, width in zip(cells, widths[1:], strict=True)]
        lines.append(f"  {head.ljust(widths[0])}  {'  '.join(shown)}".rstrip())
    return "\n".join(lines)


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if value.is_integer() and abs(value) >= 10 else f"{value:.4f}"


def _pair(pair: Pair, confidence: float, listed: bool) -> str:
    lines = [f"{pair.after} - {pair.before}, with {confidence * 100:g} % intervals"]
    rows = [(one.name, *_difference(one)) for one in pair.metrics if one.difference or one.interval]
    same = [one.name for one in pair.metrics if one.difference == 0 and not one.interval]
    lines += [columns(rows)] if rows else []
    lines += [f"  the same     {', '.join(map(one_line, same))}"] if same else []
    lines += [line for one in pair.matched for line in _matched(one, len(pair.matched) > 1)]
    lines.append(_sides(pair, listed))
    if pair.recipe is None:
        lines.append(paragraph(pair.note or "", width_of_terminal()))
    elif pair.recipe:
        lines.append("  recipes differ")
        lines.append(columns([(change.path, both(change)) for change in pair.recipe], "    "))
    return "\n".join(lines)


def _difference(one: MetricDifference) -> tuple[str, str]:
    assert one.difference is not None
    if one.interval is None:
        sign = "-" if one.difference < 0 else "+"
        return sign + _number(abs(one.difference)), ""
    low, high = one.interval
    return f"{one.difference:+.4f}", f"[{low:+.4f}, {high:+.4f}]"


def _matched(one: Matched, several: bool) -> list[str]:
    where = f" of {one.evaluator}" if several else ""
    lines = [f"  {one.shared:,} rows{where} in both"]
    if one.only_before or one.only_after:
        lines.append(f"    not shared: {one.only_before:,} and {one.only_after:,}")
    if one.altered:
        lines.append(f"    {one.altered:,} with the same id and other texts, not compared")
    return lines


def _sides(pair: Pair, listed: bool) -> str:
    right = sum(row.to == "right" for row in pair.changed)
    more = "" if listed or not pair.changed else "   list them with --rows"
    wrong = len(pair.changed) - right
    return f"  {right:,} from wrong to right, {wrong:,} from right to wrong{more}"


def _rows(pair: Pair, options: Namespace) -> list[str]:
    width, lines = width_of_terminal(), None if options.verbose else LINES
    ordered = sorted(pair.changed, key=lambda row: row.to)
    shown = ordered[: options.limit] if options.limit else ordered
    parts = [_row(pair, row, width, lines) for row in shown]
    if len(shown) < len(ordered):
        parts.append(f"  {len(shown):,} of {len(ordered):,} rows; --limit 0 shows all")
    return parts


def _row(pair: Pair, row: ChangedRow, width: int, lines: int | None) -> str:
    found = [f"  {one_line(row.id)}", f"    from {_other(row)} to {row.to}"]
    found += field("prompt", row.prompt, width, lines)
    for number, reference in enumerate(row.references[:LINES] if lines else row.references):
        found += field("" if number else "reference", reference, width, lines)
    found += field(pair.before[:11], row.before, width, lines)
    found += field(pair.after[:11], row.after, width, lines)
    return "\n".join(found)


def _other(row: ChangedRow) -> str:
    return "wrong" if row.to == "right" else "right"
