"""Records out of CSV and Parquet.

CSV is read as the texts that stand in it: a table reader that guesses types makes a missing value
of `NA` and 7 of `007`.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ....schema.errors import StepError
from ... import SourceFile
from .records import BATCH, Record, read_text, refuse_none


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
    refuse_none(file, number)


def parquet_records(file: SourceFile) -> Iterator[Record]:
    """Yield the rows of a Parquet file, streamed by the `datasets` library."""
    import datasets
    import pyarrow as pa

    number = 0
    # The library logs what it also raises, with the path of our link in it.
    verbosity = datasets.logging.get_verbosity()
    datasets.logging.set_verbosity(datasets.logging.CRITICAL)
    with TemporaryDirectory(prefix="khichdi-") as folder:
        # `data_files` takes patterns: under a name of ours, no file name can be mistaken for one.
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
        finally:
            datasets.logging.set_verbosity(verbosity)
    refuse_none(file, number)
