"""Drop rows that say again what an earlier row said."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from ... import Drop, Filter, Params

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
    """Drop rows that are the same as an earlier one in some fields; the first stays.

    Memory grows with the rows that stay: 16 bytes of digest and the id of each, about 0.2 kB.
    """

    name = "exact-duplicates"
    stateful = True

    def __init__(self, params: ExactDuplicatesParams) -> None:
        super().__init__(params)
        # 16 bytes of each row instead of its text: two different rows meet with a chance of less
        # than one in 10**22 among a hundred million.
        self._first: dict[bytes, str] = {}

    def reasons(self, batch: pa.RecordBatch) -> Sequence[Drop | None]:
        """Return `duplicate`, with the first row of the kind, for rows that were there before."""
        columns = [batch.column(name).to_pylist() for name in self.params.by]
        ids = batch.column("id").to_pylist()
        keys = map(_key, columns[0]) if len(columns) == 1 else map(_joint_key, *columns)
        seen = self._first
        reasons: list[Drop | None] = []
        for key, row in zip(keys, ids, strict=True):
            first = seen.get(key)
            if first is None:
                seen[key] = row
            reasons.append(None if first is None else Drop("duplicate", first))
        return reasons


def _key(text: str) -> bytes:
    return blake2b(text.encode(), digest_size=16).digest()


def _joint_key(*texts: str) -> bytes:
    """Return a digest of the texts; lengths keep (`ab`, `c`) and (`a`, `bc`) apart."""
    encoded = [text.encode() for text in texts]
    lengths = ",".join(map(str, map(len, encoded)))
    return blake2b(b"".join([lengths.encode(), b"\0", *encoded]), digest_size=16).digest()
