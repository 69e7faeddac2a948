"""Rows to read and to search in a page: compressed, cut where long, and drawn where too many."""

from __future__ import annotations

import base64
import gzip
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from ...schema.digest import draws
from ...schema.printable import printable
from ...schema.secrets import Look, looks, mask

LETTERS = 600
"""Characters of a text that the page has."""
BUDGET = 1_100_000
"""Bytes in the page that the rows of one browser take, at most."""
FIRST = 10
"""Rows that are there without the script."""

Item = tuple[str, list[str], list[str]]
"""The id of a row, the marks that it can be chosen by, and its texts, one for each label."""


@dataclass(frozen=True)
class Browser:
    """Rows that the page's script shows.

    Attributes:
        id: unique in the page.
        labels: the names of texts.
        note: what the rows are, and how many of them are here.
        marks: every mark with the number of rows that have it.
        first: the first rows, shown without the script.
        packed: all rows as JSON, compressed, in base64.
    """

    id: str
    labels: Sequence[str]
    note: str
    marks: list[tuple[str, int]]
    first: list[Item]
    packed: str


def browser(
    name: str, labels: Sequence[str], items: Sequence[Item], total: int, what: str
) -> Browser:
    """Return rows as a page holds them.

    Where they would take more than `BUDGET`, some are left out: which ones follows from their ids.

    Args:
        name: unique in the page.
        labels: the names of texts.
        items: the rows.
        total: how many rows there are of this kind, these included.
        what: the kind of rows, such as `predictions`.
    """
    from markupsafe import Markup

    among = looks()
    shown: list[Item] = [
        (
            _safe(row, among),
            [_safe(mark, among) for mark in marks],
            [_safe(text, among) for text in texts],
        )
        for row, marks, texts in items
    ]
    packed = _packed(labels, shown)
    while len(packed) > BUDGET and len(shown) > FIRST:
        shown = _fewer(shown, int(0.9 * len(shown) * BUDGET / len(packed)))
        packed = _packed(labels, shown)
    count = f"All {total:,}" if len(shown) == total else f"{len(shown):,} of {total:,}"
    note = f"{count} {what}; texts are shown up to {LETTERS} characters."
    marks = Counter(mark for _, marks, _ in shown for mark in marks)
    ordered = sorted(marks.items(), key=lambda pair: (-pair[1], pair[0]))
    return Browser(name, labels, note, ordered, shown[:FIRST], Markup(packed))


def _fewer(items: list[Item], count: int) -> list[Item]:
    numbers = draws(0, [f"{row}\n{at}" for at, (row, _, _) in enumerate(items)])
    kept = sorted(sorted(range(len(items)), key=numbers.__getitem__)[:count])
    return [items[at] for at in kept]


def _packed(labels: Sequence[str], items: list[Item]) -> str:
    text = json.dumps({"labels": labels, "rows": items}, ensure_ascii=False, separators=(",", ":"))
    raw = gzip.compress(text.encode(errors="backslashreplace"), mtime=0)
    return base64.b64encode(raw).decode()


def _safe(text: str, among: Sequence[Look]) -> str:
    """Return a text with no secret, nothing in it that acts, cut where it is long."""
    more = len(text) - LETTERS
    cut = mask(text, among)
    return printable(f"{cut[:LETTERS]} … {more:,} more" if more > 0 else cut)
