"""Write rows as JSON lines, CSV or Parquet."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from ...schema.errors import InputError
from ...schema.printable import ACTIVE
from ..store.atomic_io import atomic_file
from ..tables import BATCH


def write_rows(table: pa.Table, path: Path, about: Mapping[str, str]) -> None:
    """Write rows in the format that a file's name ends with, whole or not at all.

    Lists and turns are JSON texts in CSV. `about` says where the rows come from; Parquet keeps it
    as metadata of the schema.

    Raises:
        InputError: the name ends with no known format.
        StoreError: the file cannot be written.
    """
    write = FORMATS.get(path.suffix.lower())
    if write is None:
        known = ", ".join(FORMATS)
        raise InputError(f"{path.name} ends with no known format", hint=f"known: {known}")
    with atomic_file(path) as place:
        write(table, place, about)


def json_lines(table: pa.Table) -> Iterator[str]:
    """Yield each row as a line of JSON in which no character acts on a terminal."""
    for batch in table.to_batches(max_chunksize=BATCH):
        for row in batch.to_pylist():
            line = json.dumps(row, ensure_ascii=False)
            yield ACTIVE.sub(lambda found: f"\\u{ord(found[0]):04x}", line)


def _jsonl(table: pa.Table, path: Path, _: Mapping[str, str]) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.writelines(f"{line}\n" for line in json_lines(table))


def _csv(table: pa.Table, path: Path, _: Mapping[str, str]) -> None:
    from pyarrow import csv

    for index, field in enumerate(table.schema):
        if pa.types.is_nested(field.type):
            texts = [json.dumps(value, ensure_ascii=False) for value in _values(table, index)]
            table = table.set_column(index, field.name, pa.array(texts, pa.string()))
    csv.write_csv(table, path)


def _values(table: pa.Table, index: int) -> Iterator[Any]:
    for chunk in table.column(index).chunks:
        yield from chunk.to_pylist()


def _parquet(table: pa.Table, path: Path, about: Mapping[str, str]) -> None:
    from pyarrow import parquet

    known = {f"khichdi.{name}": value for name, value in about.items()}
    parquet.write_table(table.replace_schema_metadata(known), path)


FORMATS: dict[str, Callable[[pa.Table, Path, Mapping[str, str]], None]] = {
    ".jsonl": _jsonl,
    ".parquet": _parquet,
    ".csv": _csv,
}
"""Writers by the end of a file's name."""
