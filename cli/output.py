"""Print text for people, or one JSON document."""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..schema.record import Record

from ..project.units import size as size
from ..schema.printable import one_line, printable
from ..schema.secrets import mask, masked
from ..schema.units import duration as duration
from ..schema.units import gibibytes as gibibytes


def emit(options: Namespace, document: Any, text: str) -> None:
    """Print the document with `--json`, else the text, secrets masked and nothing in it active."""
    if options.json:
        # A terminal of another encoding is given escapes, which are the same JSON.
        plain = (sys.stdout.encoding or "").lower().replace("-", "") != "utf8"
        text = json.dumps(masked(document), indent=1, ensure_ascii=plain)
    else:
        text = printable(mask(text))
    print(text)


def columns(rows: Sequence[Sequence[str]], indent: str = "  ") -> str:
    """Align rows of cells; the last column is not padded."""
    if not rows:
        return ""
    rows = [[one_line(cell) for cell in row] for row in rows]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]) - 1)]
    lines = []
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        lines.append((indent + "  ".join([*cells, row[-1]])).rstrip())
    return "\n".join(lines)


def quoted(value: Any, width: int = 88) -> str:
    """Return a value on one line, truncated to a width."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    text = one_line(" ".join(text.split()))
    return text if len(text) <= width else text[: width - 1] + "…"


def short(digest: str) -> str:
    """Return a digest that fits a line: `sha256:5f0c1a…91`."""
    return f"{digest[:15]}…{digest[-4:]}"


def beside(record: Record) -> list[str]:
    """Return lines with the estimates of training beside the measurements, which no hash covers."""
    found = record.estimate
    if found is None:
        return []
    lines = []
    for label, told, took, shown in (
        ("memory", found.memory_bytes, found.measured_memory_bytes, gibibytes),
        ("training", found.seconds, found.measured_seconds, duration),
    ):
        if took is not None:
            first = f"estimated {shown(told)}, " if told is not None else ""
            lines.append(f"{label.ljust(13)}{first}measured {shown(took)} (claimed)")
    return lines
