"""Drop rows that are too long, or too short."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from ... import Filter, Params

if TYPE_CHECKING:
    import pyarrow as pa

TextField = Literal["instruction", "input", "output"]


class MaxWordsParams(Params):
    """How many words, and where."""

    fields: tuple[TextField, ...] = Field(
        ("instruction", "input"),
        min_length=1,
        description="Fields whose words are counted together.",
    )
    below: int = Field(ge=1, description="A row is kept when it has fewer words than this.")


class MaxWords(Filter[MaxWordsParams]):
    """Drop rows with too many words in some fields together; words are split at white space."""

    name = "max-words"
    requires = ("pyarrow",)

    def reasons(self, batch: pa.RecordBatch) -> Sequence[str | None]:
        """Return `too-long` for rows with `below` words or more."""
        from .words import count_words

        below = self.params.below
        counts = count_words(batch, self.params.fields)
        return [None if count < below else "too-long" for count in counts]


class MinWordsParams(Params):
    """How many words, and where."""

    fields: tuple[TextField, ...] = Field(
        ("output",),
        min_length=1,
        description="Fields whose words are counted together.",
    )
    at_least: int = Field(ge=1, description="A row is kept when it has this many words or more.")


class MinWords(Filter[MinWordsParams]):
    """Drop rows with too few words in some fields together; words are split at white space."""

    name = "min-words"
    requires = ("pyarrow",)

    def reasons(self, batch: pa.RecordBatch) -> Sequence[str | None]:
        """Return `too-short` for rows with fewer words than `at_least`."""
        from .words import count_words

        at_least = self.params.at_least
        counts = count_words(batch, self.params.fields)
        return [None if count >= at_least else "too-short" for count in counts]
