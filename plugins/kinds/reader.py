"""The kind that turns bytes into rows."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from ..base import P, Plugin
from .drop import Drop
from .source import SourceFile

if TYPE_CHECKING:
    import pyarrow as pa


class Reader(Plugin[P], ABC):
    """Turns bytes into rows."""

    kind = "reader"

    @abstractmethod
    def read(self, files: Sequence[SourceFile]) -> Iterator[pa.RecordBatch | Drop]:
        """Yield batches with any of the columns of `khichdi.schema.rows`, and `id` always.

        `id` is `<file path>#<number of the record in the file, from 0>`; the caller puts the
        data set's name before it, fills `source`, and fills columns left out with empty values.
        Files come sorted by path. Raises `StepError` naming file and line of a bad record, or,
        where the recipe asks to drop bad records, yields a `Drop` with the id it would have had.
        """
