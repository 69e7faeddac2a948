"""What a file holds: records with their place, so that an error can name it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ....schema.errors import StepError
from ... import SourceFile

BATCH = 4096
"""Rows of a batch."""

BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class Record:
    """One record of a file: its number from 0, its first line from 1 (None for binary files)."""

    file: SourceFile
    number: int
    line: int | None
    value: dict[str, Any]

    @property
    def id(self) -> str:
        """The row's id, without the data set's name."""
        return f"{self.file.path}#{self.number}"

    def error(self, message: str, hint: str | None = None) -> StepError:
        """Return an error that names this record."""
        place = "" if self.line is not None else f"record {self.number}: "
        return StepError(place + message, hint=hint, file=self.file.path, line=self.line)


def what(value: Any) -> str:
    """Return what a JSON value is, in words."""
    names = {dict: "an object", list: "a list", str: "a text", bool: "a truth value"}
    names |= {int: "a number", float: "a number", type(None): "nothing (null)"}
    return names.get(type(value), f"a {type(value).__name__}")


MISSING: Any = object()
"""What `lookup` returns where there is no such field."""


def lookup(value: dict[str, Any], path: str) -> Any:
    """Return the field at a path, or `MISSING`; a field whose own name has dots comes first."""
    if path in value:
        return value[path]
    here: Any = value
    for part in path.split("."):
        if isinstance(here, dict) and part in here:
            here = here[part]
        elif isinstance(here, list) and part.isdecimal() and int(part) < len(here):
            here = here[int(part)]
        else:
            return MISSING
    return here


def refuse_none(file: SourceFile, count: int) -> None:
    """Raise `StepError` when a file has no record."""
    if count == 0:
        hint = "an empty file is most often a failed copy; leave it out of `include` if it is meant"
        raise StepError("the file holds no record", hint=hint, file=file.path)


def utf8(raw: bytes, file: SourceFile, offset: int, line: int) -> str:
    """Return the text of bytes that start at this offset and line of a file.

    Raises:
        StepError: they are not UTF-8; names the first byte that is not.
    """
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        at = line + raw.count(b"\n", 0, error.start)
        raise StepError(
            f"byte {offset + error.start} (0x{raw[error.start]:02x}) is not UTF-8",
            file=file.path,
            line=at,
            hint="files are read as UTF-8: convert it, as in `iconv -f latin1 -t utf-8`",
        ) from None


def read_text(file: SourceFile) -> str:
    """Return a whole file's text, without a byte order mark."""
    raw = file.location.read_bytes()
    body = raw.removeprefix(BOM)
    return utf8(body, file, len(raw) - len(body), 1)
