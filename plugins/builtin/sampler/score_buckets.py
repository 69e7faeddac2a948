"""Sample rows by the base model's score: hard ones more often than easy ones."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from khichdi.plugins import Params, Sampler
from khichdi.schema.errors import StepError

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    from .group_draws import Groups

DECILES = 10
Count = Annotated[int, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]


class Total(Params):
    """Total rows, and what to do when fewer pass."""

    total: int | None = Field(
        None,
        ge=1,
        description=(
            "Total rows kept: of those that pass the buckets, the ones with the smallest random "
            "draws. Adding a task can therefore only displace rows, never add others."
        ),
    )
    short: Literal["error", "take-all"] = Field(
        "error", description="What to do when fewer rows than `total` pass the buckets."
    )


class AccuracyBucketsParams(Total):
    """Rows per task, by the base model's accuracy on it."""

    quota: tuple[Count, ...] = Field(
        min_length=DECILES,
        max_length=DECILES,
        description=(
            "Maximum rows per task, by its accuracy: ten numbers, for accuracies in [0, 0.1), "
            "[0.1, 0.2), ... [0.9, 1]. A task with fewer rows gives all of them."
        ),
    )
    factor: float = Field(
        1.0, gt=0, description="Every quota is multiplied by this and rounded down."
    )
    keep: Literal["wrong", "all"] = Field(
        "wrong",
        description=(
            "Which rows of a task may be kept: those the base model got wrong (a score below "
            "1), or all, including unscored ones."
        ),
    )
    drop_below: float | None = Field(
        None,
        ge=0,
        le=1,
        description="Minimum accuracy: tasks below it are too hard and contribute no rows.",
    )


class AccuracyBuckets(Sampler[AccuracyBucketsParams]):
    """Sample rows of each task by its accuracy: many of hard tasks, few of easy ones."""

    name = "accuracy-buckets"
    example = {"quota": [350, 350, 300, 300, 250, 250, 200, 150, 100, 50]}
    uses_scores = True

    def asked(self) -> int | None:
        """Return `total`."""
        return self.params.total

    def rehearsal(self) -> dict[str, Any]:
        """Take all available rows: random weights find every task too hard."""
        return {"short": "take-all", "drop_below": None}

    def select(self, table: pa.Table, draw: Sequence[int]) -> Sequence[int]:
        """Return positions: for each task its quota, of these `total` rows.

        A task's accuracy is the mean of its rows' scores, unscored rows left out.

        Raises:
            StepError: there are no scores in 0..1, or too few rows pass.
        """
        import numpy as np

        from .group_draws import cut, exact, group_by, smallest

        scores = _scores(table)
        groups = group_by(table, "task")
        accuracy = _means(groups, scores)
        factor = exact(self.params.factor)
        quota = np.array([int(count * factor) for count in self.params.quota], np.int64)
        limits = quota[np.minimum((accuracy * DECILES).astype(np.int64), DECILES - 1)]
        if self.params.drop_below is not None:
            limits[accuracy < self.params.drop_below] = 0
        of_row = groups.of_row
        if self.params.keep == "wrong":
            of_row = np.where(scores < 1, of_row, -1)  # an unscored row compares as false
        return cut(smallest(draw, of_row, limits), draw, self.params.total, self.params.short)


class RougeBucketsParams(Total):
    """Fraction of each task's rows that is kept, by score."""

    edges: tuple[Share, ...] = Field(
        (0.0, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8),
        min_length=2,
        description=(
            "Increasing bounds of the buckets; each includes its lower bound and excludes its "
            "upper bound, except an upper bound of 1. Rows with scores outside are dropped."
        ),
    )
    fractions: tuple[Share, ...] = Field(
        (0.4, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1),
        description="For each bucket, the fraction of a task's rows that is kept, rounded down.",
    )

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if list(self.edges) != sorted(set(self.edges)):
            raise ValueError("`edges` must rise")
        if len(self.fractions) != len(self.edges) - 1:
            raise ValueError(
                f"{len(self.edges)} edges make {len(self.edges) - 1} buckets, and there are "
                f"{len(self.fractions)} fractions"
            )
        return self


class RougeBuckets(Sampler[RougeBucketsParams]):
    """Sample a fraction of each task's rows by score: more of the low ones."""

    name = "rouge-buckets"
    uses_scores = True

    def asked(self) -> int | None:
        """Return `total`."""
        return self.params.total

    def rehearsal(self) -> dict[str, Any]:
        """Take all available rows."""
        return {"short": "take-all"}

    def select(self, table: pa.Table, draw: Sequence[int]) -> Sequence[int]:
        """Return positions: of each task and bucket its part, of these `total` rows.

        Raises:
            StepError: there are no scores in 0..1, or too few rows pass.
        """
        import numpy as np

        from .group_draws import cut, group_by, shares, smallest

        scores = _scores(table)
        edges = np.array(self.params.edges)
        count = len(edges) - 1
        bucket = np.searchsorted(edges, np.nan_to_num(scores, nan=-1.0), side="right") - 1
        if edges[-1] == 1:
            bucket[scores == 1] = count - 1
        inside = (bucket >= 0) & (bucket < count)
        groups = group_by(table, "task")
        of_row = np.where(inside, groups.of_row * count + bucket, -1)
        sizes = np.bincount(of_row[inside], minlength=len(groups.names) * count)
        limits = np.zeros(len(sizes), np.int64)
        for number, part in enumerate(self.params.fractions):
            limits[number::count] = shares(sizes[number::count].tolist(), part)
        return cut(smallest(draw, of_row, limits), draw, self.params.total, self.params.short)


def _scores(table: pa.Table) -> NDArray[np.float64]:
    """Return the scores, NaN where a row was not scored."""
    import numpy as np

    if "score" not in table.column_names:
        raise StepError(
            "the rows have no scores to sample by",
            hint="give the data set a scorer: `score: {use: few-shot, ...}`",
        )
    scores: NDArray[np.float64] = table.column("score").to_numpy()
    low, high = np.nanmin(scores, initial=0), np.nanmax(scores, initial=0)
    if low < 0 or high > 1:
        raise StepError(
            f"scores from {low:g} to {high:g} were found; buckets are for scores from 0 to 1",
            hint="score with `few-shot`, whose accuracy and ROUGE-L are in 0..1",
        )
    return scores


def _means(groups: Groups, scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean score of each group, the same in any order of rows."""
    import numpy as np

    scored = np.flatnonzero(~np.isnan(scores))
    numbers = scored[np.argsort(groups.of_row[scored], kind="stable")]
    bounds = np.searchsorted(groups.of_row[numbers], np.arange(len(groups.names) + 1))
    means = np.zeros(len(groups.names))
    for group, (first, last) in enumerate(pairwise(bounds)):
        if first == last:
            raise StepError(
                f"no row of task `{groups.names[group]}` is scored, so it has no accuracy",
                hint="the scorer is to score some rows of every task",
            )
        means[group] = math.fsum(scores[numbers[first:last]]) / (last - first)
    return means
