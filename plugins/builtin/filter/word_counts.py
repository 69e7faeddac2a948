"""Drop rows that are too long, or too short."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pydantic import Field

from khichdi.plugins import Filter, Params

from .base.text_fields import TextField

if TYPE_CHECKING:
    import pyarrow as pa


class MaxWordsParams(Params):
    """Fields and bound of the word count."""

    fields: tuple[TextField, ...] = Field(
        ("instruction", "input"),
        min_length=1,
        description="Fields whose word counts are added up.",
    )
    below: int = Field(ge=1, description="Keep rows with fewer words than this.")


class MaxWords(Filter[MaxWordsParams]):
    """Drop rows with too many words in some fields; words are split at white space."""

    name = "max-words"
    example = {"below": 800}
    requires = ("numpy", "pyarrow")

    def reasons(self, batch: pa.RecordBatch) -> Sequence[str | None]:
        """Return `too-long` for rows with `below` words or more."""
        from .base.word_splitting import count_words

        counts = count_words(batch, self.params.fields)
        return _given(counts >= self.params.below, "too-long")


class MinWordsParams(Params):
    """Fields and bound of the word count."""

    fields: tuple[TextField, ...] = Field(
        ("output",),
        min_length=1,
        description="Fields whose word counts are added up.",
    )
    at_least: int = Field(ge=1, description="Keep rows with at least this many words.")


class MinWords(Filter[MinWordsParams]):
    """Drop rows with too few words in some fields; words are split at white space."""

    name = "min-words"
    example = {"at_least": 5}
    requires = ("numpy", "pyarrow")

    def reasons(self, batch: pa.RecordBatch) -> Sequence[str | None]:
        """Return `too-short` for rows with fewer words than `at_least`."""
        from .base.word_splitting import count_words

        counts = count_words(batch, self.params.fields)
        return _given(counts < self.params.at_least, "too-short")


def _given(rows: Any, reason: str) -> list[str | None]:
    """Return the reason for the rows marked in this array."""
    reasons: list[str | None] = [None] * len(rows)
    for row in rows.nonzero()[0].tolist():
        reasons[row] = reason
    return reasons
