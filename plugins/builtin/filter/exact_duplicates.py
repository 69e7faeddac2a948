"""Drop rows that say again what an earlier row said."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from ... import Filter, Params

if TYPE_CHECKING:
    import pyarrow as pa

Field_ = Literal["task", "provenance", "instruction", "input", "output"]


class ExactDuplicatesParams(Params):
    """What makes two rows the same."""

    by: tuple[Field_, ...] = Field(
        ("instruction", "input", "output"),
        min_length=1,
        description="Rows are the same when all these fields are, character for character.",
    )


class ExactDuplicates(Filter[ExactDuplicatesParams]):
    """Drop rows that are the same as an earlier one in some fields; the first stays."""

    name = "exact-duplicates"
    stateful = True

    def __init__(self, params: ExactDuplicatesParams) -> None:
        super().__init__(params)
        # 16 bytes of each row instead of its text: a hundred million rows fit in memory, and two
        # different rows meet with a chance of less than one in 10**22.
        self._seen: set[bytes] = set()

    def reasons(self, batch: pa.RecordBatch) -> Sequence[str | None]:
        """Return `duplicate` for rows that were there before, in this batch or an earlier one."""
        columns = [batch.column(name).to_pylist() for name in self.params.by]
        reasons: list[str | None] = []
        for texts in zip(*columns, strict=True):
            key = _key(texts)
            reasons.append("duplicate" if key in self._seen else None)
            self._seen.add(key)
        return reasons


def _key(texts: Sequence[str]) -> bytes:
    """Return a digest of the texts; lengths keep (`ab`, `c`) and (`a`, `bc`) apart."""
    state = blake2b(digest_size=16)
    for text in texts:
        data = text.encode()
        state.update(len(data).to_bytes(8, "little"))
        state.update(data)
    return state.digest()
