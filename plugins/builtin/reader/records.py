"""Records out of files: what a file holds, each with its place, or an error that names the place.

Only the parsing is here; which field fills which column is said in `rows`. JSON and CSV are read
record by record rather than by a table reader that guesses types: such a reader turns a column of
texts that look like dates into timestamps and the text `NA` into a missing value, differently from
version to version, and a training text must be the text that stands in the file.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
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


def records(file: SourceFile) -> Iterator[Record]:
    """Yield the records of a file in the format that its name says.

    Raises:
        StepError: the name's ending is unknown, or a record is broken.
    """
    match PurePosixPath(file.path).suffix.lower():
        case ".jsonl" | ".ndjson":
            return jsonl_records(file)
        case ".json":
            # Many a `.json` on the hub holds JSON lines; the first character tells.
            with file.location.open("rb") as stream:
                start = stream.read(4096).removeprefix(BOM).lstrip()
            return jsonl_records(file) if start.startswith(b"{") else json_records(file)
        case ".csv":
            return csv_records(file)
        case ".tsv":
            return csv_records(file, delimiter="\t")
        case ".parquet":
            return parquet_records(file)
        case suffix:
            raise StepError(
                f"cannot tell the format from the ending {suffix or '(none)'!r}",
                file=file.path,
                hint="known: .jsonl, .ndjson, .json, .csv, .tsv, .parquet; "
                "name the right files in the source's `include`",
            )


# ---- JSON -----------------------------------------------------------------------------------


def jsonl_records(file: SourceFile) -> Iterator[Record]:
    """Yield the objects of a file with one JSON object on each line; blank lines are skipped."""
    number, offset = 0, 0
    with file.location.open("rb") as stream:
        for line, raw in enumerate(stream, start=1):
            body = raw.removeprefix(BOM) if line == 1 else raw
            text = _utf8(body, file, offset + len(raw) - len(body), line)
            offset += len(raw)
            if not text.strip():
                continue
            try:
                value = json.loads(text)
            except (ValueError, RecursionError) as error:
                raise _broken(file, line, error) from None
            yield _object(file, number, line, value)
            number += 1
    _some(file, number)


def json_records(file: SourceFile, field: str | None = None) -> Iterator[Record]:
    """Yield the objects of a JSON list; `field` is where the list is in the file's object."""
    raw = file.location.read_bytes()
    body = raw.removeprefix(BOM)
    text = _utf8(body, file, len(raw) - len(body), 1)
    if not text.strip():
        _some(file, 0)
    if field is None:
        yield from _listed(file, text)
        return
    found = lookup(load_json(file, text), field)
    if not isinstance(found, list):
        missing = "there is no such field" if found is MISSING else f"found {what(found)}"
        raise StepError(f"a list of records was expected at `{field}`: {missing}", file=file.path)
    for number, value in enumerate(found):
        yield _object(file, number, None, value)
    _some(file, len(found))


def load_json(file: SourceFile, text: str) -> Any:
    """Return the one JSON value of a whole file."""
    try:
        return json.loads(text)
    except RecursionError as error:
        raise _broken(file, 1, error) from None
    except json.JSONDecodeError as error:
        raise _broken(file, error.lineno, error) from None


def read_text(file: SourceFile) -> str:
    """Return a whole file's text, without a byte order mark."""
    raw = file.location.read_bytes()
    body = raw.removeprefix(BOM)
    return _utf8(body, file, len(raw) - len(body), 1)


def _listed(file: SourceFile, text: str) -> Iterator[Record]:
    """Yield the items of a list one by one, so that each has its line and memory stays low."""
    decoder = json.JSONDecoder()
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
            value, place = decoder.raw_decode(text, place)
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
    _some(file, number)


def _skip(text: str, place: int) -> int:
    while place < len(text) and text[place] in " \t\r\n":
        place += 1
    return place


def _object(file: SourceFile, number: int, line: int | None, value: Any) -> Record:
    record = Record(file, number, line, value)
    if not isinstance(value, dict):
        raise record.error(f"an object with fields was expected, found {what(value)}")
    return record


def _broken(file: SourceFile, line: int, error: Exception) -> StepError:
    detail = "it is nested too deep"
    if isinstance(error, json.JSONDecodeError):
        detail = f"{error.msg} (column {error.colno})"
    elif isinstance(error, ValueError):
        detail = str(error)
    hint = "mend the line; a file that stops in the middle was not copied whole"
    return StepError(f"broken JSON: {detail}", hint=hint, file=file.path, line=line)


def _some(file: SourceFile, count: int) -> None:
    if count == 0:
        hint = "an empty file is most often a failed copy; leave it out of `include` if it is meant"
        raise StepError("the file holds no record", hint=hint, file=file.path)


def _utf8(raw: bytes, file: SourceFile, offset: int, line: int) -> str:
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


# ---- CSV ------------------------------------------------------------------------------------


def csv_records(
    file: SourceFile,
    delimiter: str = ",",
    quote: str | None = '"',
    names: Sequence[str] | None = None,
) -> Iterator[Record]:
    """Yield the rows of a CSV file as objects of texts; `names` when it has no header line."""
    csv.field_size_limit((1 << 31) - 1)
    try:
        with file.location.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.reader(
                stream,
                delimiter=delimiter,
                quotechar=quote,
                quoting=csv.QUOTE_NONE if quote is None else csv.QUOTE_MINIMAL,
                strict=True,
            )
            yield from _csv_rows(file, reader, names)
    except UnicodeDecodeError:
        read_text(file)  # Raises with the place in the whole file, which the error does not have.
        raise


def _csv_rows(file: SourceFile, reader: Any, names: Sequence[str] | None) -> Iterator[Record]:
    header, number, line = list(names or ()), 0, 1
    while True:
        try:
            row = next(reader, None)
        except csv.Error as error:
            raise StepError(
                f"broken CSV: {error}",
                file=file.path,
                line=line,
                hint="a text with the delimiter, a quote or a line break in it stands in quotes, "
                'and a quote inside is doubled: "so ""to say"""',
            ) from None
        if row is None:
            break
        if row and not header:
            header = row
            twice = sorted({name for name in row if row.count(name) > 1})
            if twice:
                message = f"the header names {', '.join(map(repr, twice))} more than once"
                raise StepError(message, file=file.path, line=line)
        elif row:
            value = dict(zip(header, row, strict=False))
            record = Record(file, number, line, value)
            if len(row) != len(header):
                raise record.error(f"{len(header)} fields were expected, found {len(row)}")
            yield record
            number += 1
        line = reader.line_num + 1
    _some(file, number)


# ---- Parquet --------------------------------------------------------------------------------


def parquet_records(file: SourceFile) -> Iterator[Record]:
    """Yield the rows of a Parquet file, streamed by the `datasets` library."""
    from tempfile import TemporaryDirectory

    import datasets
    import pyarrow as pa

    number = 0
    with TemporaryDirectory(prefix="khichdi-") as folder:
        # `data_files` takes patterns: under a name of ours, no file name can be mistaken for one.
        from pathlib import Path

        link = Path(folder, "data.parquet")
        link.symlink_to(file.location.resolve())
        try:
            rows = datasets.load_dataset(
                "parquet",
                data_files=str(link),
                split="train",
                streaming=True,
                cache_dir=folder,
            )
            for table in rows.with_format("arrow").iter(batch_size=BATCH):
                for value in table.to_pylist():
                    yield Record(file, number, None, value)
                    number += 1
        except (pa.ArrowException, OSError) as error:
            first = str(error).replace(str(link), file.path).split("\n", 1)[0]
            raise StepError(
                f"not a whole Parquet file (after {number} rows): {first}",
                file=file.path,
                hint="it was cut short or is another format: get it again, or mend `include`",
            ) from None
    _some(file, number)
