"""Parse CSV and Parquet into records.

CSV is read as text: a table reader that guesses types makes a missing value
of `NA` and 7 of `007`.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from typing import Any

from khichdi.plugins import SourceFile
from khichdi.schema.errors import StepError

from .decompression import opened, too_large, unpacked_limit
from .record import BATCH, NOT_UTF8_HINT, FileRecord, RecordError, refuse_none


def csv_records(
    file: SourceFile,
    delimiter: str = ",",
    quote: str | None = '"',
    names: Sequence[str] | None = None,
) -> Iterator[FileRecord | RecordError]:
    """Yield the rows of a CSV file as objects of texts; `names` when it has no header line.

    A row with bytes that are not UTF-8 or another number of fields is a `RecordError`. Broken
    quotes are an error of the file: where the next row starts could only be guessed, and a line
    in the middle of a text can look like a row.
    """
    csv.field_size_limit((1 << 31) - 1)
    with opened(file) as stream:
        # Bytes that are not UTF-8 come through as lone surrogates, so that the row can be named.
        text = io.TextIOWrapper(stream, "utf-8-sig", errors="surrogateescape", newline="")
        reader = csv.reader(
            text,
            delimiter=delimiter,
            quotechar=quote,
            quoting=csv.QUOTE_NONE if quote is None else csv.QUOTE_MINIMAL,
            strict=True,
        )
        yield from _csv_rows(file, reader, names)


def _csv_rows(
    file: SourceFile, reader: Any, names: Sequence[str] | None
) -> Iterator[FileRecord | RecordError]:
    header, number, line = list(names or ()), 0, 1
    while (row := _next(file, reader, line)) is not None:
        if row and not header:
            header = _header(file, line, row)
        elif row:
            yield _csv_record(FileRecord(file, number, line, {}), header, row)
            number += 1
        line = reader.line_num + 1
    refuse_none(file, number)


def _next(file: SourceFile, reader: Any, line: int) -> list[str] | None:
    try:
        row: list[str] | None = next(reader, None)
    except csv.Error as error:
        raise StepError(
            f"broken CSV: {error}",
            file=file.path,
            line=line,
            hint="a text with the delimiter, a quote or a line break must be quoted, "
            'and a quote inside is doubled: "so ""to say"""',
        ) from None
    return row


def _header(file: SourceFile, line: int, row: list[str]) -> list[str]:
    twice = sorted({name for name in row if row.count(name) > 1})
    if twice:
        message = f"the header names {', '.join(map(repr, twice))} more than once"
        raise StepError(message, file=file.path, line=line)
    return row


def _csv_record(record: FileRecord, header: list[str], row: list[str]) -> FileRecord | RecordError:
    if len(row) != len(header):
        message = f"{len(header)} fields were expected, found {len(row)}"
        return record.error(message, reason="wrong-field-count")
    for name, text in zip(header, row, strict=True):
        if "\0" in text:
            hint = "the file was damaged when it was copied, or it is not text"
            return record.error(f"`{name}` has a NUL, which no text has", hint, "nul-byte")
        try:
            text.encode()
        except UnicodeEncodeError as error:
            byte = ord(text[error.start]) & 0xFF
            message = f"`{name}` has the byte 0x{byte:02x}, which is not UTF-8"
            return record.error(message, NOT_UTF8_HINT, "not-utf8")
    return FileRecord(record.file, record.number, record.line, dict(zip(header, row, strict=True)))


def parquet_records(file: SourceFile, paths: Sequence[str] | None = None) -> Iterator[FileRecord]:
    """Yield the rows of a Parquet file, batch by batch.

    Only the columns that the paths name are read; None reads all.

    Raises:
        StepError: it is not a whole file, or its rows take far more memory than its size.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    number, left = 0, unpacked_limit(file)
    try:
        with pq.ParquetFile(str(file.location), page_checksum_verification=True) as parquet:
            names = tuple(parquet.schema_arrow.names)
            wanted = None if paths is None else _named(names, paths)
            if _announced(parquet.metadata, wanted) > left:
                raise too_large(file)
            for batch in parquet.iter_batches(BATCH, columns=wanted):
                left -= batch.nbytes
                if left < 0:  # few bytes stand for many where a value is repeated
                    raise too_large(file)
                for value in batch.to_pylist():
                    yield FileRecord(file, number, None, value, names)
                    number += 1
    except (pa.ArrowException, OSError) as error:
        first = str(error).replace(str(file.location), file.path).split("\n", 1)[0]
        raise StepError(
            f"not a whole Parquet file (after {number} rows): {first}",
            file=file.path,
            hint="it is truncated or in another format: download it again, or fix `include`",
        ) from None
    refuse_none(file, number)


def _announced(metadata: Any, columns: Sequence[str] | None) -> int:
    """Return how many bytes the columns of a Parquet file say that they unpack to."""
    groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    chunks = (group.column(n) for group in groups for n in range(group.num_columns))
    return sum(
        chunk.total_uncompressed_size
        for chunk in chunks
        if columns is None or chunk.path_in_schema.split(".", 1)[0] in columns
    )


def _named(names: Sequence[str], paths: Sequence[str]) -> list[str] | None:
    """Return the columns that the paths start with; None where that is not even one."""
    wanted = {path for path in paths if path in names}
    wanted |= {path.split(".", 1)[0] for path in paths if path not in names}
    return [name for name in names if name in wanted] or None
