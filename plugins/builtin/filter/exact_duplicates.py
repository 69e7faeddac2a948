"""Drop exact duplicates of earlier rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from khichdi.plugins import Drop, Filter, Params

if TYPE_CHECKING:
    import pyarrow as pa

Field_ = Literal["task", "provenance", "instruction", "input", "output"]


class ExactDuplicatesParams(Params):
    """Fields to compare."""

    by: tuple[Field_, ...] = Field(
        ("instruction", "input", "output"),
        min_length=1,
        description="Fields that must all be identical, character for character.",
    )


class ExactDuplicates(Filter[ExactDuplicatesParams]):
    """Drop rows identical to an earlier one in some fields; the first is kept.

    Memory grows with the rows that stay: 16 bytes of digest and the id of each, about 0.2 kB.
    """

    name = "exact-duplicates"
    version = 2
    stateful = True
    requires = ("pyarrow", "xxhash")

    def __init__(self, params: ExactDuplicatesParams) -> None:
        super().__init__(params)
        # 16 bytes of each row instead of its text: two different rows meet with a chance of less
        # than one in 10**22 among a hundred million.
        self._first: dict[bytes, str] = {}

    def reasons(self, batch: pa.RecordBatch) -> Sequence[Drop | None]:
        """Return `duplicate`, with the first row of the kind, for rows that were there before."""
        import pyarrow as pa
        from xxhash import xxh3_128_digest

        columns = [batch.column(name).cast(pa.binary()).to_pylist() for name in self.params.by]
        texts = columns[0] if len(columns) == 1 else map(_joined, *columns)
        seen = self._first
        reasons: list[Drop | None] = []
        for key, row in zip(
            map(xxh3_128_digest, texts), batch.column("id").to_pylist(), strict=True
        ):
            first = seen.get(key)
            if first is None:
                seen[key] = row
                reasons.append(None)
            else:
                reasons.append(Drop("duplicate", first))
        return reasons


def _joined(*texts: bytes) -> bytes:
    """Return the texts as one; lengths keep (`ab`, `c`) and (`a`, `bc`) apart."""
    return b"\0".join([",".join(map(str, map(len, texts))).encode(), *texts])
