"""Take rows by their place: the first ones, or a range."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pydantic import Field, field_validator

from khichdi.plugins import Params, Sampler

if TYPE_CHECKING:
    import pyarrow as pa

BOUND = "(-?[0-9]{1,15}%?)?"


class SliceParams(Params):
    """Which rows, by their place."""

    rows: str = Field(
        pattern=f"^{BOUND}:{BOUND}$",
        description=(
            "Rows from one place up to another, as in a split of `datasets`: `:1000` for the "
            "first thousand, `:20%`, `500:600`, `-100:` for the last hundred. Per cents are "
            "rounded to the nearest row; what lies beyond the last row is left out."
        ),
    )

    @field_validator("rows")
    @classmethod
    def _a_range(cls, value: str) -> str:
        if value == ":":
            raise ValueError("it is all rows: leave `sample` out")
        for bound in value.split(":"):
            if bound.endswith("%") and abs(int(bound[:-1])) > 100:
                raise ValueError(f"`{bound}` is more than all rows")
        return value


class Slice(Sampler[SliceParams]):
    """Take the first rows, or a range of them, by their place."""

    name = "slice"
    seeded = False
    example = {"rows": ":1000"}

    def asked(self) -> int | None:
        """Return the length of a range of counted rows; None where it takes the data to tell."""
        start, stop = self.params.rows.split(":")
        if not stop.isdecimal() or not (start or "0").isdecimal():
            return None
        return max(0, int(stop) - int(start or 0))

    def expected(self, rows: int | None) -> tuple[int, int | None]:
        """Return how many rows lie in the range, exactly where it is known how many there are."""
        if rows is None:
            return 0, self.asked()
        count = len(self._range(rows))
        return count, count

    def select(self, table: pa.Table, draw: Sequence[int]) -> Sequence[int]:
        """Return the positions in the range."""
        return self._range(table.num_rows)

    def _range(self, rows: int) -> range:
        start, stop = self.params.rows.split(":")
        first, last = _place(start or "0", rows), _place(stop or str(rows), rows)
        return range(first, max(first, last))


def _place(bound: str, rows: int) -> int:
    """Return a bound as a number from 0 to the number of rows; one below 0 counts from the end."""
    percent = bound.endswith("%")
    number = round(rows * int(bound[:-1]) / 100) if percent else int(bound)
    return min(max(number + rows if bound.startswith("-") else number, 0), rows)
