"""Group rows and take the smallest draws of each: shared by group samplers.

All of it is vectorised, and none of it depends on the order of rows: a group keeps the rows with
its smallest draws, so neither other groups nor more rows asked for change which of two rows goes
first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from khichdi.schema.errors import StepError

if TYPE_CHECKING:
    from numpy.typing import NDArray

LISTS = {"category": "categories", "domain": "domains"}
"""Keys of `by`, with the column whose first label is the group."""


@dataclass(frozen=True)
class Groups:
    """Rows by group: the groups' names in sorted order, and the number of each row's group."""

    names: Sequence[str]
    of_row: NDArray[np.int64]

    def sizes(self) -> NDArray[np.int64]:
        """Return how many rows each group has."""
        return np.bincount(self.of_row, minlength=len(self.names))


def group_by(table: pa.Table, by: str) -> Groups:
    """Group rows by a column; by the first label where the column has lists of them."""
    if by in LISTS:
        labels = table.column(LISTS[by])
        some = pc.greater(pc.list_value_length(labels), 0)
        first = pc.list_element(pc.if_else(some, labels, pa.scalar([""], labels.type)), 0)
    else:
        first = table.column(by)
    whole = first.combine_chunks().dictionary_encode()
    found = whole.dictionary.to_pylist()
    names = sorted(found)
    place = {name: number for number, name in enumerate(names)}
    order = np.array([place[name] for name in found], np.int64)
    indices = whole.indices.to_numpy(zero_copy_only=False)
    return Groups(names, order[indices] if len(found) else np.zeros(0, np.int64))


def smallest(draw: Sequence[int], of_row: NDArray[Any], limits: NDArray[Any]) -> NDArray[np.int64]:
    """Return, for each group, the positions of as many of its smallest draws as its limit.

    `of_row` is each row's group; a negative one is in no group and never returned.
    """
    positions = np.flatnonzero(of_row >= 0)
    groups = of_row[positions]
    numbers = np.asarray(draw, np.uint64)[positions]
    order = np.lexsort((numbers, groups))  # stable: equal draws stay in row order
    groups = groups[order]
    first = np.searchsorted(groups, groups, side="left")
    rank = np.arange(len(groups)) - first
    kept: NDArray[np.int64] = positions[order[rank < limits[groups]]]
    return kept


def cut(
    positions: NDArray[np.int64], draw: Sequence[int], total: int | None, short: str
) -> list[int]:
    """Return the `total` rows with the smallest draws among those at the positions.

    Raises:
        StepError: there are fewer, and `short` is `error`.
    """
    if total is not None:
        if total > len(positions) and short == "error":
            raise too_few(total, f"{len(positions):,} pass its buckets")
        numbers = np.asarray(draw, np.uint64)[positions]
        positions = positions[np.lexsort((positions, numbers))[:total]]
    kept: list[int] = positions.tolist()
    return kept


def too_few(asked: int, there: str) -> StepError:
    """Return the error of a sampler that was asked for more rows than there are."""
    return StepError(
        f"{asked:,} rows were asked for, and {there}",
        hint="ask for fewer, drop fewer in the filters, or set `short: take-all`",
    )


def exact(number: float) -> Fraction:
    """Return the fraction that a decimal number in a recipe means: 0.1 is a tenth."""
    return Fraction(repr(number))


def shares(sizes: Sequence[int], part: float) -> NDArray[np.int64]:
    """Return that part of each size, rounded down."""
    fraction = exact(part)
    return np.array([int(size * fraction) for size in sizes], np.int64)
