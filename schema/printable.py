r"""Show text of others so that it cannot act: one place for terminals, logs, Markdown and HTML.

A record, a row or a recipe may hold escape sequences that redraw a terminal, newlines that add
lines to a report, and bidirectional marks that reorder it. They are shown as Python writes them:
`\x1b`, `\n`, `\u202e`. JSON output stays exact, and escapes them by its own rules.
"""

from __future__ import annotations

import re

ACTIVE = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]"
)
"""Characters that move a cursor, change colors or direction, or break a line; not \\n and \\t."""
BREAKS = re.compile(r"[\n\t]")


def printable(text: str) -> str:
    """Return text of several lines with every other active character escaped."""
    return ACTIVE.sub(_escape, text)


def one_line(text: str) -> str:
    """Return text that stays on the line where it is put."""
    return BREAKS.sub(_escape, printable(text))


def _escape(found: re.Match[str]) -> str:
    named = {"\n": "\\n", "\t": "\\t", "\r": "\\r"}
    code = ord(found[0])
    return named.get(found[0]) or (f"\\x{code:02x}" if code < 128 else f"\\u{code:04x}")
