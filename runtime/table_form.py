"""Refuse a table that takes more memory than its file: compressed, or the same bytes read twice.

Tables are written here in one form, uncompressed Arrow batches one after the other, so a file of a
few bytes that unfolds to gigabytes is never one of ours. pyarrow shows a batch only after it was
decompressed. So the footer and the head of each batch, which are flatbuffers, are read by their
layout: https://arrow.apache.org/docs/format/Columnar.html#ipc-file-format
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ..schema.errors import StoreError

if TYPE_CHECKING:
    import pyarrow as pa

MAGIC = b"ARROW1"
CONTINUED = b"\xff\xff\xff\xff"
RECORD_BATCH = 3
BLOCK = struct.Struct("<qi4xq")


def check_form(raw: memoryview) -> None:
    """Refuse a file whose batches are compressed, overlap, or are anything but batches.

    Raises:
        StoreError: says what was found instead.
    """
    try:
        end = 0
        for start, head, body in _blocks(raw):
            if start < end or start + head + body > len(raw):
                raise StoreError("batches of the table overlap, or lie outside its file")
            end = start + head + body
            _check_batch(raw[start : start + head])
    except (struct.error, IndexError, ValueError):
        raise StoreError("it is not a table as khichdi writes it") from None


def check_size(table: pa.Table, size: int) -> None:
    """Refuse a table of other types than those that take as much memory as they do in the file.

    Raises:
        StoreError: names the column.
    """
    for field in table.schema:
        if not _plain(field.type):
            raise StoreError(f"column {field.name} of the table has the type {field.type}")
    if table.nbytes > size:
        raise StoreError(f"the table holds {table.nbytes:,} bytes, and its file {size:,}")


def _plain(kind: pa.DataType) -> bool:
    import pyarrow as pa

    types = pa.types
    if types.is_list(kind) or types.is_large_list(kind):
        return _plain(kind.value_type)
    if types.is_struct(kind):
        return kind.num_fields > 0 and all(_plain(part.type) for part in kind)
    texts = types.is_string(kind) or types.is_large_string(kind)
    numbers = types.is_boolean(kind) or types.is_integer(kind) or types.is_floating(kind)
    return bool(texts or numbers)


def _blocks(raw: memoryview) -> Iterator[tuple[int, int, int]]:
    """Yield where each batch of a file starts, and the lengths of its head and body."""
    if raw[:6] != MAGIC or raw[-6:] != MAGIC:
        raise ValueError
    (size,) = struct.unpack("<i", raw[-10:-6])
    if not 0 < size <= len(raw) - 10:
        raise ValueError
    footer = _Table.root(raw[-10 - size : -10])
    if footer.vector(2):
        raise StoreError("the table has a dictionary")
    at = footer.vector(3)
    for number in range(footer.length(3)):
        yield BLOCK.unpack_from(footer.raw, at + number * BLOCK.size)


def _check_batch(head: memoryview) -> None:
    if head[:4] != CONTINUED:
        raise ValueError
    message = _Table.root(head[8:])
    kind = message.place(1)
    if kind is None or message.raw[kind] != RECORD_BATCH:
        raise ValueError
    if message.table(2).place(3) is not None:
        raise StoreError("the table is compressed")


class _Table:
    """A table of a flatbuffer: its fields by their numbers."""

    def __init__(self, raw: memoryview, at: int) -> None:
        self.raw, self.at = raw, at
        self.fields = at - self._int("<i", at)
        self.size = self._int("<H", self.fields)

    @classmethod
    def root(cls, raw: memoryview) -> _Table:
        """Return the outermost table of a flatbuffer."""
        return cls(raw, struct.unpack_from("<I", raw, 0)[0])

    def place(self, number: int) -> int | None:
        """Return where a field is; None where it is left out."""
        entry = 4 + 2 * number
        found = self._int("<H", self.fields + entry) if entry < self.size else 0
        return self.at + found if found else None

    def table(self, number: int) -> _Table:
        """Return the table that a field refers to."""
        at = self.place(number)
        if at is None:
            raise ValueError
        return _Table(self.raw, at + self._int("<I", at))

    def length(self, number: int) -> int:
        """Return how many entries the vector of a field has."""
        at = self.place(number)
        return 0 if at is None else self._int("<I", at + self._int("<I", at))

    def vector(self, number: int) -> int:
        """Return where the entries of a field's vector start; 0 where it has none."""
        at = self.place(number)
        return at + self._int("<I", at) + 4 if at is not None and self.length(number) else 0

    def _int(self, form: str, at: int) -> int:
        if at < 0:
            raise IndexError
        found: int = struct.unpack_from(form, self.raw, at)[0]
        return found
