"""Count words the way the filters mean it: runs of characters that are not white space."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa


def count_words(batch: pa.RecordBatch, fields: Sequence[str]) -> list[int]:
    """Return, for each row, the words of these fields together."""
    columns = [batch.column(field).to_pylist() for field in fields]
    return [sum(len(text.split()) for text in texts) for texts in zip(*columns, strict=True)]
