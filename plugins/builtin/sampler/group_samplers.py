"""Sample rows by group: equal counts, equal fractions, or by weights."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from khichdi.plugins import Params, Sampler
from khichdi.schema.errors import StepError

if TYPE_CHECKING:
    import pyarrow as pa

By = Literal["task", "category", "domain", "provenance", "license"]
Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]
BY = "Grouping key; of several categories or domains the first one counts."


class PerGroupParams(Params):
    """Rows per group; exactly one of `count` and `fraction`."""

    by: By = Field("task", description=BY)
    count: int | None = Field(None, ge=1, description="Rows kept per group.")
    fraction: float | None = Field(
        None, gt=0, le=1, description="Fraction of each group that is kept, rounded down."
    )
    short: Literal["error", "take-all"] = Field(
        "error", description="What to do when a group has fewer rows than `count`."
    )

    @model_validator(mode="after")
    def _asks_one_thing(self) -> Self:
        if (self.count is None) == (self.fraction is None):
            raise ValueError("exactly one of `count` and `fraction` was expected")
        return self


class PerGroup(Sampler[PerGroupParams]):
    """Keep the same number or fraction of rows of every task, category or origin."""

    name = "per-group"
    example = {"count": 50}

    def rehearsal(self) -> dict[str, Any]:
        """Take all available rows."""
        return {"short": "take-all"}

    def select(self, table: pa.Table, draw: Sequence[int]) -> Sequence[int]:
        """Return the positions with each group's smallest draws; no group depends on another.

        Raises:
            StepError: a group has fewer rows than `count`, and `short` is `error`.
        """
        import numpy as np

        from .group_draws import group_by, shares, smallest

        groups = group_by(table, self.params.by)
        sizes = groups.sizes()
        if self.params.fraction is not None:
            limits = shares(sizes.tolist(), self.params.fraction)
        else:
            limits = np.full(len(sizes), self.params.count)
            if self.params.short == "error":
                _refuse_short(groups.names, limits.tolist(), sizes.tolist(), self.params.by)
        kept: list[int] = smallest(draw, groups.of_row, limits).tolist()
        return kept


class ProportionalParams(Params):
    """Total rows, divided among groups by `weights` or by a `temperature`."""

    total: int = Field(ge=1, description="Total rows kept.")
    by: By = Field("task", description=BY)
    weights: dict[str, Weight] | None = Field(
        None, min_length=1, description="Weight of each group; every group must be named."
    )
    temperature: float | None = Field(
        None,
        ge=1,
        description=(
            "Groups are weighted by size to the power of 1/temperature: 1 is proportional to size, "
            "higher is more even."
        ),
    )
    short: Literal["error", "take-all"] = Field(
        "error",
        description=(
            "What to do when a group has fewer rows than its share; `take-all` takes them and "
            "distributes the remainder over the other groups."
        ),
    )

    @model_validator(mode="after")
    def _shares_one_way(self) -> Self:
        if (self.weights is None) == (self.temperature is None):
            raise ValueError("exactly one of `weights` and `temperature` was expected")
        if self.weights is not None and not any(self.weights.values()):
            raise ValueError("one weight at least must be above 0")
        return self


class Proportional(Sampler[ProportionalParams]):
    """Keep a number of rows, divided among groups by weights, or by size with a temperature."""

    name = "proportional"
    example = {"total": 200, "temperature": 2.0}

    def asked(self) -> int | None:
        """Return `total`."""
        return self.params.total

    def rehearsal(self) -> dict[str, Any]:
        """Take all available rows."""
        return {"short": "take-all"}

    def select(self, table: pa.Table, draw: Sequence[int]) -> Sequence[int]:
        """Return the positions with each group's smallest draws, as many as its share.

        Another group changes the shares, and so how many rows a group gives, but never which
        of two of its rows goes first.

        Raises:
            StepError: a group has no weight, or fewer rows than its share while `short` is
                `error`.
        """
        import numpy as np

        from .group_draws import group_by, smallest

        groups = group_by(table, self.params.by)
        sizes: list[int] = groups.sizes().tolist()
        weights = self._weights(groups.names, sizes)
        shares = apportion(self.params.total, weights)
        if self.params.short == "error":
            _refuse_short(groups.names, shares, sizes, self.params.by)
        limits = np.array(_within(self.params.total, weights, sizes), np.int64)
        kept: list[int] = smallest(draw, groups.of_row, limits).tolist()
        return kept

    def _weights(self, names: Sequence[str], sizes: Sequence[int]) -> list[Fraction]:
        if self.params.temperature is not None:
            # Decimal powers are the same on every machine; those of floats are not.
            power = 1 / Decimal(repr(self.params.temperature))
            return [Fraction(Decimal(size) ** power) for size in sizes]
        from .group_draws import exact

        given = self.params.weights or {}
        for name in names:
            if name not in given:
                raise StepError(
                    f"{self.params.by} `{name}` has no weight",
                    hint="name it in `weights`, with 0 to keep none of it",
                )
        for name in sorted(given.keys() - set(names)):
            raise StepError(
                f"no row has the {self.params.by} `{name}` that `weights` names",
                hint=f"found: {', '.join(names[:8])}" + (", ..." if len(names) > 8 else ""),
            )
        return [exact(given[name]) for name in names]


def apportion(total: int, weights: Sequence[Fraction]) -> list[int]:
    """Share a total out by largest remainders; of equal ones the first in order wins."""
    whole = sum(weights)
    if not whole:
        return [0] * len(weights)
    ideal = [total * weight / whole for weight in weights]
    shares = [int(part) for part in ideal]
    order = sorted(range(len(ideal)), key=lambda i: (shares[i] - ideal[i], i))
    for index in order[: total - sum(shares)]:
        shares[index] += 1
    return shares


def _within(total: int, weights: Sequence[Fraction], sizes: Sequence[int]) -> list[int]:
    """Share a total out so that no group gives more than it has, for as long as some have more."""
    limits = [0] * len(sizes)
    active = [index for index, weight in enumerate(weights) if weight]
    while active and total:
        shares = apportion(total, [weights[index] for index in active])
        full = [i for i, share in zip(active, shares, strict=True) if share >= sizes[i]]
        if not full:
            for index, share in zip(active, shares, strict=True):
                limits[index] = share
            break
        for index in full:
            limits[index] = sizes[index]
            total -= sizes[index]
        active = [index for index in active if index not in set(full)]
    return limits


def _refuse_short(
    names: Sequence[str], wanted: Sequence[int], sizes: Sequence[int], by: str
) -> None:
    lacking = [
        (name, want, size)
        for name, want, size in zip(names, wanted, sizes, strict=True)
        if want > size
    ]
    if lacking:
        name, want, size = lacking[0]
        others = f" ({len(lacking) - 1:,} more groups are short)" if len(lacking) > 1 else ""
        raise StepError(
            f"{want:,} rows of {by} `{name}` were asked for, and there are {size:,}{others}",
            hint="ask for fewer, drop fewer in the filters, or set `short: take-all`",
        )
