"""Read and write tables: memory-mapped Arrow IPC files, hashed batch by batch."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import pyarrow as pa

from ..schema.digest import TableDigest
from ..schema.errors import StoreError
from .table_form import check_form, check_size

FILE = "table.arrow"
BATCH = 4096


class TableWriter:
    """Writes batches to `folder/table.arrow`; memory stays bounded by a batch."""

    def __init__(self, folder: Path, schema: pa.Schema) -> None:
        self.folder = folder
        self.rows = 0
        self._digest = TableDigest(schema)
        self._sink = pa.OSFile(os.fsencode(folder / FILE), "wb")
        self._writer = pa.ipc.new_file(self._sink, schema)

    def write(self, batch: pa.RecordBatch) -> None:
        """Append a batch; its columns are the schema's."""
        if batch.num_rows:
            self._digest.update(batch)
            self._writer.write_batch(batch)
            self.rows += batch.num_rows

    def digest(self) -> str:
        """Return the digest of the written rows."""
        return self._digest.hexdigest()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._writer.close()
        self._sink.close()


def write_table(folder: Path, table: pa.Table) -> str:
    """Write a whole table and return its digest."""
    with TableWriter(folder, table.schema) as writer:
        for batch in table.combine_chunks().to_batches(max_chunksize=BATCH):
            writer.write(batch)
    return writer.digest()


def read_table(folder: Path) -> pa.Table:
    """Return a table whose bytes are mapped, not read; it takes no more memory than its file.

    Raises:
        StoreError: the file is compressed, or not a table as it is written here.
    """
    mapped = pa.memory_map(os.fsencode(folder / FILE))
    check_form(memoryview(mapped.read_buffer()).cast("B"))
    try:
        table = pa.ipc.open_file(mapped).read_all()
        check_size(table, mapped.size())
    except (pa.ArrowException, ValueError) as error:
        raise StoreError(f"the table cannot be read: {error}") from None
    return table


def batches(folder: Path) -> Iterator[pa.RecordBatch]:
    """Yield a table's batches in row order."""
    yield from read_table(folder).to_batches(max_chunksize=BATCH)
