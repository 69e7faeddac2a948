"""Records with their position in a file, for error messages."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from khichdi.plugins import Drop, SourceFile
from khichdi.schema.errors import StepError

from .decompression import read_bytes

BATCH = 4096
"""Rows of a batch."""

BOM = b"\xef\xbb\xbf"


class RecordError(StepError):
    """A record that cannot become a row, while the records around it can.

    It is raised, or noted as a `Drop` when the recipe says `on_bad_row: drop`. What makes a whole
    file unreadable is a plain `StepError`: the number of lost rows is unknown then.
    """

    def __init__(
        self,
        message: str,
        *,
        id: str,
        reason: str,
        hint: str | None = None,
        file: str | None = None,
        line: int | None = None,
    ) -> None:
        super().__init__(message, hint=hint, file=file, line=line)
        self.id = id
        self.reason = reason

    def drop(self) -> Drop:
        """Return the note for the ledger."""
        place = f"line {self.line}: " if self.line is not None else ""
        return Drop(self.reason, place + self.message, self.id)

    def renumbered(self, number: int) -> RecordError:
        """Return the same for a reader that numbers rows in another way than records."""
        return RecordError(
            self.message,
            id=f"{self.file}#{number}",
            reason=self.reason,
            hint=self.hint,
            file=self.file,
            line=self.line,
        )


@dataclass(frozen=True)
class FileRecord:
    """One record of a file: its number from 0, its first line from 1 (None for binary files).

    `names` are the fields that the file has, where `value` holds only those that were asked for.
    """

    file: SourceFile
    number: int
    line: int | None
    value: dict[str, Any]
    names: tuple[str, ...] | None = None

    @property
    def id(self) -> str:
        """The row's id, without the data set's name."""
        return f"{self.file.path}#{self.number}"

    @property
    def fields(self) -> list[str]:
        """The names of its fields, for messages."""
        return [str(name) for name in (self.value if self.names is None else self.names)]

    def error(
        self, message: str, hint: str | None = None, reason: str = "malformed"
    ) -> RecordError:
        """Return an error that names this record; `reason` is its reason in the drop log."""
        place = "" if self.line is not None else f"record {self.number}: "
        return RecordError(
            place + message,
            id=self.id,
            reason=reason,
            hint=hint,
            file=self.file.path,
            line=self.line,
        )


def what(value: Any) -> str:
    """Return the type of a JSON value in words."""
    names = {dict: "an object", list: "a list", str: "a text", bool: "a truth value"}
    names |= {
        int: "a number",
        float: "a number",
        Decimal: "a decimal number",
        type(None): "nothing (null)",
    }
    return names.get(type(value), f"a {type(value).__name__}")


MISSING: Any = object()
"""Returned by `lookup` where there is no such field."""


def lookup(value: dict[str, Any], path: str) -> Any:
    """Return the field at a path, or `MISSING`; a field whose own name has dots comes first.

    A `*` in the path selects every item of a list, and gives a list: `steps.*.text`.
    """
    if path in value:
        return value[path]
    return _follow(value, path.split(".")) if "." in path else MISSING


def _follow(here: Any, parts: list[str]) -> Any:
    for number, part in enumerate(parts):
        if isinstance(here, dict) and part in here:
            here = here[part]
        elif isinstance(here, list) and part.isdecimal() and int(part) < len(here):
            here = here[int(part)]
        elif isinstance(here, list) and part == "*":
            found = [_follow(item, parts[number + 1 :]) for item in here]
            return [item for item in found if item is not MISSING]
        else:
            return MISSING
    return here


def refuse_none(file: SourceFile, count: int) -> None:
    """Raise `StepError` when a file has no record."""
    if count == 0:
        hint = "an empty file is most often a failed copy; leave it out of `include` if it is meant"
        raise StepError("the file holds no record", hint=hint, file=file.path)


NOT_UTF8_HINT = "files are read as UTF-8: convert it, as in `iconv -f latin1 -t utf-8`"


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
            hint=NOT_UTF8_HINT,
        ) from None


def read_text(file: SourceFile) -> str:
    """Return a whole file's text, without a byte order mark."""
    raw = read_bytes(file)
    body = raw.removeprefix(BOM)
    return utf8(body, file, len(raw) - len(body), 1)
