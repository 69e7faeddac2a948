"""Format statistics of rows as text: tables, and histograms of bars."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from .output import columns, quoted

if TYPE_CHECKING:
    from ..runtime.curation.statistics import Lengths, Statistics

TOP = 15
"""Tasks, languages and phrases shown without -v."""
BAR = 40
QUANTILES = ("p50", "p90", "p99", "max")


def stats_text(run: str, found: Statistics, *, verbose: bool) -> str:
    """Return the statistics of a run's rows; all tasks, units and phrases where verbose."""
    sides = ", ".join(f"{count:,} {side}" for side, count in found.sides.items())
    head = f"{run}   {found.step}   {found.rows:,} rows" + (f" ({sides})" if sides else "")
    parts = [head, *_lengths(found, verbose), *_packed(found)]
    shown = None if verbose else TOP
    for title, counts in (
        ("sources", found.sources),
        ("tasks", found.tasks),
        ("licenses", {name or "(none declared)": n for name, n in found.licenses.items()}),
        (_drawn("languages", found), found.languages or {}),
    ):
        parts += _counts(title, counts, shown)
    if found.languages is None:
        parts += ["", "languages: not identified; pip install 'khichdi[curate]'"]
    return "\n".join([*parts, *_overlaps(found), *_phrases(found, shown)])


def _lengths(found: Statistics, verbose: bool) -> list[str]:
    units = list(dict.fromkeys(one.unit for one in found.lengths))
    lines = ["", f"lengths   {found.tokens_note}"] if units else []
    for unit in units if verbose else units[:1]:
        measured = [one for one in found.lengths if one.unit == unit]
        rows: list[tuple[str, ...]] = [("", "", unit, *QUANTILES)]
        rows += [
            ("", one.of, f"{one.count:,}", *(f"{one.quantiles[q]:,}" for q in QUANTILES))
            for one in measured
        ]
        lines += [columns(rows), *_bars(measured[0])]
    return lines


def _bars(lengths: Lengths) -> list[str]:
    """Return a histogram, a line for each bar."""
    most = max(count for _, _, count in lengths.bins)
    rows = [
        (_span(first, last - 1), f"{count:,}", "█" * -(-BAR * count // most))
        for first, last, count in lengths.bins
    ]
    width, digits = (max(len(row[i]) for row in rows) for i in (0, 1))
    return [f"    {a.rjust(width)}  {b.rjust(digits)}  {bar}".rstrip() for a, b, bar in rows]


def _span(first: int, last: int) -> str:
    return f"{first:,}" if first == last else f"{first:,}-{last:,}"


def _packed(found: Statistics) -> list[str]:
    lines = [
        f"  {side}: {counts['truncated']:,} rows truncated, {counts['left_out']:,} left out"
        for side, counts in found.packed.items()
        if any(counts.values())
    ]
    return ["", "packing", *lines] if lines else []


def _counts(title: str, counts: Mapping[str, int], shown: int | None) -> list[str]:
    if not counts:
        return []
    total = sum(counts.values())
    rows = [
        (f"{count:,}".rjust(9), f"{100 * count / total:.1f} %".rjust(7), quoted(name))
        for name, count in list(counts.items())[:shown]
    ]
    lines = ["", f"{title}   {len(counts):,}", columns(rows)]
    if shown is not None and len(counts) > shown:
        lines.append(f"  and {len(counts) - shown:,} more; -v shows all")
    return lines


def _drawn(title: str, found: Statistics) -> str:
    return title if found.drawn == found.rows else f"{title} of {found.drawn:,} rows drawn"


def _overlaps(found: Statistics) -> list[str]:
    rows = [
        (f"{one.rows:,}".rjust(9), one.compared, f"repeated in {one.one}")
        if one.one == one.other
        else (f"{one.rows:,}".rjust(9), one.compared, f"of {one.one}, which {one.other} has too")
        for one in found.overlaps
    ]
    head = ["", "overlap   rows with the same prompt, or the same whole text"]
    return [*head, columns(rows) if rows else "  none"]


def _phrases(found: Statistics, shown: int | None) -> list[str]:
    rows = [(f"{count:,}".rjust(9), quoted(text)) for text, count in found.phrases[:shown]]
    head = f"{_drawn('phrases of four words', found)}   rows that have them"
    return ["", head, columns(rows)] if rows else []
