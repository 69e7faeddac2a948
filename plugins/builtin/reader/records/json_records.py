"""Parse JSON and JSON lines into records, one by one.

A table reader that guesses types turns texts that look like dates into timestamps, and does it
differently from version to version; a training text must be exactly the file's text.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from khichdi.plugins import SourceFile
from khichdi.schema.errors import StepError

from .decompression import opened
from .record import (
    BOM,
    MISSING,
    NOT_UTF8_HINT,
    FileRecord,
    RecordError,
    lookup,
    read_text,
    refuse_none,
    what,
)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object of JSON; a key given twice is ambiguous, and refused."""
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the key {twice!r} is given twice in one object")
    return found


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a number in JSON")


_DECODER = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_refuse_constant)


def jsonl_records(file: SourceFile) -> Iterator[FileRecord | RecordError]:
    """Yield the objects of a file with one JSON object on each line; blank lines are skipped.

    A line that is not UTF-8, not JSON or no object is a `RecordError`; the next one is read.
    """
    number, offset = 0, 0
    with opened(file) as stream:
        for line, raw in enumerate(stream, start=1):
            body = raw.removeprefix(BOM) if line == 1 else raw
            if body.strip():
                yield _of_line(
                    FileRecord(file, number, line, {}), body, offset + len(raw) - len(body)
                )
                number += 1
            offset += len(raw)
    refuse_none(file, number)


def _of_line(record: FileRecord, body: bytes, offset: int) -> FileRecord | RecordError:
    """Return the record of one line; `offset` is where it starts in the file."""
    if b"\0" in body:
        return record.error(
            f"byte {offset + body.index(0)} is NUL, which no text has",
            "the file was damaged when it was copied, or it is not text",
            "nul-byte",
        )
    try:
        value = _DECODER.decode(body.decode())
    except UnicodeDecodeError as error:
        place = f"byte {offset + error.start} (0x{body[error.start]:02x})"
        return record.error(f"{place} is not UTF-8", NOT_UTF8_HINT, "not-utf8")
    except (ValueError, RecursionError) as error:
        return record.error(f"broken JSON: {_detail(error)}", BROKEN_HINT, "broken-json")
    return _object(record.file, record.number, record.line, value)


def json_records(file: SourceFile, field: str | None = None) -> Iterator[FileRecord | RecordError]:
    """Yield the objects of a JSON list; `field` is where the list is in the file's object.

    An item that is not an object is a `RecordError`. Broken JSON is an error of the file: where the
    next item starts could only be guessed.
    """
    text = read_text(file)
    if not text.strip():
        refuse_none(file, 0)
    if field is None:
        yield from _listed(file, text)
        return
    found = lookup(load_json(file, text), field)
    if not isinstance(found, list):
        missing = "there is no such field" if found is MISSING else f"found {what(found)}"
        raise StepError(f"a list of records was expected at `{field}`: {missing}", file=file.path)
    for number, value in enumerate(found):
        yield _object(file, number, None, value)
    refuse_none(file, len(found))


def load_json(file: SourceFile, text: str) -> Any:
    """Return the one JSON value of a whole file."""
    try:
        return _DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise _broken(file, error.lineno, error) from None
    except (ValueError, RecursionError) as error:
        raise _broken(file, 1, error) from None


def _listed(file: SourceFile, text: str) -> Iterator[FileRecord | RecordError]:
    """Yield the items of a list one by one, so that each has its line and memory stays low."""
    place = _skip(text, 0)
    if text[place] != "[":
        raise StepError(
            "a list of records was expected",
            file=file.path,
            line=1,
            hint="one object on each line is read by `jsonl`; for a list inside an object name "
            "it: `field: data`",
        )
    number, line, counted = 0, 1, 0
    place = _skip(text, place + 1)
    while place < len(text) and text[place] != "]":
        line += text.count("\n", counted, place)
        counted = place
        try:
            value, place = _DECODER.raw_decode(text, place)
        except json.JSONDecodeError as error:
            raise _broken(file, error.lineno, error) from None
        except (ValueError, RecursionError) as error:
            raise _broken(file, line, error) from None
        yield _object(file, number, line, value)
        number += 1
        place = _skip(text, place)
        if place < len(text) and text[place] == ",":
            place = _skip(text, place + 1)
        elif place >= len(text) or text[place] != "]":
            break
    closed = place < len(text) and text[place] == "]"
    place = _skip(text, place + 1) if closed else place
    if not closed or place < len(text):
        fault = "a comma or the list's end was expected" if not closed else "text after the list"
        end = json.JSONDecodeError(fault, text, min(place, len(text)))
        raise _broken(file, end.lineno, end)
    refuse_none(file, number)


def _skip(text: str, place: int) -> int:
    while place < len(text) and text[place] in " \t\r\n":
        place += 1
    return place


def _object(
    file: SourceFile, number: int, line: int | None, value: Any
) -> FileRecord | RecordError:
    record = FileRecord(file, number, line, value)
    if not isinstance(value, dict):
        message = f"an object with fields was expected, found {what(value)}"
        return record.error(message, reason="wrong-type")
    return record


BROKEN_HINT = "fix the line; a file that stops in the middle was not copied whole"


def _broken(file: SourceFile, line: int, error: Exception) -> StepError:
    message = f"broken JSON: {_detail(error)}"
    return StepError(message, hint=BROKEN_HINT, file=file.path, line=line)


def _detail(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg} (column {error.colno})"
    return str(error) if isinstance(error, ValueError) else "it is nested too deep"
