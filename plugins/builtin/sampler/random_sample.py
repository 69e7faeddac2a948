"""Sample rows at random, or keep all of them."""

from __future__ import annotations

from collections.abc import Sequence
from heapq import nsmallest
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import Field, model_validator

from khichdi.plugins import Params, Sampler
from khichdi.schema.errors import StepError

if TYPE_CHECKING:
    import pyarrow as pa


class AllParams(Params):
    """No parameters."""


class All(Sampler[AllParams]):
    """Keep every row."""

    name = "all"
    seeded = False

    def expected(self, rows: int | None) -> tuple[int, int | None]:
        """Return as many rows as there are."""
        return rows or 0, rows

    def select(self, table: pa.Table, draw: Sequence[int]) -> Sequence[int]:
        """Return every position."""
        return range(table.num_rows)


class RandomParams(Params):
    """Rows kept; exactly one of `count` and `fraction`."""

    count: int | None = Field(None, ge=1, description="Rows kept.")
    fraction: float | None = Field(
        None,
        gt=0,
        le=1,
        description=(
            "Probability of each row being kept, decided for each row on its own: about this "
            "fraction of the rows is kept, and adding data never changes which."
        ),
    )
    short: Literal["error", "take-all"] = Field(
        "error", description="What to do when there are fewer rows than `count`."
    )

    @model_validator(mode="after")
    def _asks_one_thing(self) -> Self:
        if (self.count is None) == (self.fraction is None):
            raise ValueError("exactly one of `count` and `fraction` was expected")
        if self.fraction is not None and self.short != "error":
            raise ValueError("`short` is about `count`: a fraction of fewer rows is still one")
        return self


class Random(Sampler[RandomParams]):
    """Keep a random number or fraction of the rows."""

    name = "random"
    example = {"count": 5000}

    def asked(self) -> int | None:
        """Return `count`."""
        return self.params.count

    def expected(self, rows: int | None) -> tuple[int, int | None]:
        """Return `count` where fewer are an error, else at most so many."""
        count, fraction = self.params.count, self.params.fraction
        if count is None:
            return 0, None if rows is None else round((fraction or 1.0) * rows)
        least = count if self.params.short == "error" and (rows is None or rows >= count) else 0
        return least, count if rows is None else min(rows, count)

    def select(self, table: pa.Table, draw: Sequence[int]) -> Sequence[int]:
        """Return the positions with the smallest draws; equal draws stay in row order.

        Raises:
            StepError: there are fewer rows than `count`, and `short` is `error`.
        """
        if self.params.fraction is not None:
            # A fraction is a float, exact as a ratio: the bound is the same on every machine.
            above, below = self.params.fraction.as_integer_ratio()
            return [position for position, n in enumerate(draw) if n * below < above << 64]
        count = self.params.count or 0
        if count > len(draw) and self.params.short == "error":
            raise StepError(
                f"{count} rows were asked for, and there are {len(draw)}",
                hint="ask for fewer, drop fewer in the filters, or set `short: take-all`",
            )
        return nsmallest(count, range(len(draw)), key=lambda position: (draw[position], position))

    def rehearsal(self) -> dict[str, Any]:
        """Take all available rows."""
        return {} if self.params.count is None else {"short": "take-all"}
