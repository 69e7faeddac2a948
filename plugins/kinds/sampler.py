"""The kind that chooses which rows of a data set go into the mixture."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from ..base import P, Plugin

if TYPE_CHECKING:
    import pyarrow as pa


class Sampler(Plugin[P], ABC):
    """Chooses which rows of a data set go into the mixture.

    `uses_scores` means that it samples by a scorer's results; the recipe must then name one.
    """

    kind = "sampler"
    seeded = True
    uses_scores: ClassVar[bool] = False

    def asked(self) -> int | None:
        """Return how many rows the parameters ask for, at most; None where it depends on data.

        Estimates rest on it, checks of a recipe hold other settings against it before any row is
        read, and a sampler that gives fewer is remarked on.
        """
        return None

    def expected(self, rows: int | None) -> tuple[int, int | None]:
        """Return the fewest and the most rows that it keeps of so many; None: not known.

        `rows` is None where the data set was not read yet. A sampler that fails rather than keep
        fewer rows than asked says so here; the default promises none, and `asked()` at most.
        Where chance decides, the most is the mean.
        """
        asked = self.asked()
        known = [count for count in (asked, rows) if count is not None]
        return 0, min(known, default=None)

    @abstractmethod
    def select(self, table: pa.Table, draw: Sequence[int]) -> Sequence[int]:
        """Return the positions of the rows to keep, in any order; the caller keeps row order.

        After a scorer the table has a column `score` beside those of `khichdi.schema.rows`, null
        for rows that were not scored.
        `draw` has a number for each row, uniform in 0 <= n < 2**64, that depends on the seed and
        the row's id alone. Keep the smallest: then more rows asked for means the same rows and
        others, and another source changes nothing here.
        """
