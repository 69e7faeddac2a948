"""Decode bytes to text with positions; report invalid UTF-8 and control characters."""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from dataclasses import dataclass

from .errors import Diagnostic, RecipeError

MAX_BYTES = 1 << 18
"""The largest recipe; reading one takes less than a second and 64 MB."""

UTF_16 = (b"\xff\xfe", b"\xfe\xff")
BREAK = re.compile(r"\r\n|\r|\n")
CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ufffe\uffff]")


@dataclass(frozen=True)
class Mark:
    """A place in a file, counted from 1, and how many characters it spans on its line."""

    line: int
    column: int
    length: int


class Text:
    """A file's text, and the line and column of each of its characters."""

    def __init__(self, text: str, file: str) -> None:
        self.file = file
        self.text = text
        ends = [(found.start(), found.end()) for found in BREAK.finditer(text)]
        self.starts = [0, *(end for _, end in ends)]
        stops = [*(start for start, _ in ends), len(text)]
        self.lines = [text[a:b] for a, b in zip(self.starts, stops, strict=True)]

    def mark(self, start: int, end: int) -> Mark:
        """Return the place of text[start:end]; of several lines only the first is spanned."""
        line = bisect_right(self.starts, start)
        column = start - self.starts[line - 1] + 1
        if line < len(self.starts) and end >= self.starts[line]:
            end = start + 1
        return Mark(line, column, max(1, end - start))

    def diagnose(
        self, mark: Mark, code: str, message: str, suggestion: str | None = None
    ) -> Diagnostic:
        """Return a diagnostic at a place."""
        return diagnose(self.file, self.lines, mark, code, message, suggestion)


def diagnose(
    file: str, lines: list[str], mark: Mark, code: str, message: str, suggestion: str | None = None
) -> Diagnostic:
    """Return a diagnostic at a place of a file with these lines."""
    source = lines[mark.line - 1] if 0 < mark.line <= len(lines) else None
    return Diagnostic(file, mark.line, mark.column, code, message, suggestion, source, mark.length)


def decode(raw: bytes, file: str) -> Text:
    """Return a file's text, without a UTF-8 byte order mark.

    Raises:
        RecipeError: it is too large, not UTF-8, or has control characters.
    """
    if len(raw) > MAX_BYTES:
        raise too_large(len(raw), file)
    if raw.startswith(UTF_16) or raw[:64].count(0) > 16:
        message = "not UTF-8: these bytes are UTF-16 or UTF-32"
        raise RecipeError([Diagnostic(file, 1, 1, "encoding", message, "save it as UTF-8")])
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _not_utf_8(raw, error.start, file) from None
    found = Text(text, file)
    faults = []
    for match in CONTROL.finditer(text):
        name = unicodedata.name(match[0], "a control character")
        message = f"{name.lower()} (U+{ord(match[0]):04X}) is not allowed in a recipe"
        mark = found.mark(match.start(), match.end())
        faults.append(found.diagnose(mark, "encoding", message, "remove it"))
        if len(faults) == 3:
            break
    if faults:
        raise RecipeError(faults)
    return found


def too_large(size: int, file: str) -> RecipeError:
    """Return the error for a file of this many bytes."""
    message = f"the file has {size:,} bytes; a recipe has at most {MAX_BYTES:,}"
    hint = "keep data in separate files"
    return RecipeError([Diagnostic(file, 1, 1, "too-large", message, hint)])


def _not_utf_8(raw: bytes, position: int, file: str) -> RecipeError:
    """Show the line as Latin-1 reads it: so that the byte's place is visible."""
    before = raw[:position].decode("utf-8-sig")
    text = Text(before + raw[position:].decode("latin-1"), file)
    message = f"not UTF-8: byte 0x{raw[position]:02x} at position {position}"
    mark = text.mark(len(before), len(before) + 1)
    return RecipeError([text.diagnose(mark, "encoding", message, "save it as UTF-8")])
