"""Rows of a batch one by one, each column converted to Python values when it is first asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa


def rows_of(batch: pa.RecordBatch) -> Iterator[Mapping[str, Any]]:
    """Yield the rows of a batch as read-only mappings."""
    columns = _Columns(batch)
    for number in range(batch.num_rows):
        yield _Row(columns, number)


class _Columns(dict[str, list[Any]]):
    """The columns of a batch that were asked for, as lists."""

    def __init__(self, batch: pa.RecordBatch) -> None:
        self.batch = batch

    def __missing__(self, name: str) -> list[Any]:
        values: list[Any] = self.batch.column(name).to_pylist()
        self[name] = values
        return values


class _Row(Mapping[str, Any]):
    """One row."""

    __slots__ = ("_columns", "_number")

    def __init__(self, columns: _Columns, number: int) -> None:
        self._columns = columns
        self._number = number

    def __getitem__(self, name: str) -> Any:
        return self._columns[name][self._number]

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns.batch.schema.names)

    def __len__(self) -> int:
        return len(self._columns.batch.schema.names)

    def __repr__(self) -> str:
        return repr(dict(self))
