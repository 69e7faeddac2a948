"""Lay out long texts of others in the width of the terminal."""

from __future__ import annotations

import shutil
import textwrap

from ..schema.printable import one_line

NARROWEST, WIDEST = 40, 100


def width_of_terminal() -> int:
    """Return the width to write in: the terminal's, at most 100 columns; without one, 100."""
    return max(NARROWEST, min(WIDEST, shutil.get_terminal_size((WIDEST, 24)).columns))


def field(label: str, text: str, width: int, lines: int | None = None) -> list[str]:
    """Return a labelled text as indented lines, truncated to a number of lines.

    Its line breaks are escaped, so that it is exact and stays beside its label.
    """
    from rich.cells import cell_len, chop_cells

    left = f"    {label:<12}"
    room = width - len(left)
    found, line = [], ""
    for word in _words(one_line(text)):
        if cell_len(word) > room:  # a word longer than a line is divided
            found += [line] if line else []
            *whole, word = chop_cells(word, room)
            found += whole
            line = ""
        if line and cell_len(line) + cell_len(word.rstrip()) > room:
            found.append(line)
            line = ""
        line += word
    found.append(line)
    if lines is not None and len(found) > lines:
        last = found[lines - 1].rstrip()
        while cell_len(last) >= room:
            last = last[:-1]
        found = [*found[: lines - 1], last + "…"]
    return [(left if n == 0 else " " * len(left)) + one.rstrip() for n, one in enumerate(found)]


def paragraph(text: str, width: int, indent: str = "  ") -> str:
    """Return a text as indented lines, escaped."""
    again = indent + "  "
    return textwrap.fill(one_line(text), width, initial_indent=indent, subsequent_indent=again)


def _words(text: str) -> list[str]:
    """Return the words of a text, each with the spaces after it."""
    parts = text.split(" ")
    return [part + " " for part in parts[:-1]] + [parts[-1]]
