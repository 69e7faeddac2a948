"""Drop rows that are too long, or too short."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pydantic import Field

from khichdi.plugins import Breach, Filter, Params

from .base.scripts import WORDS_HELP
from .base.text_fields import TextField

if TYPE_CHECKING:
    import pyarrow as pa


class MaxWordsParams(Params):
    """Fields and bound of the word count."""

    fields: tuple[TextField, ...] = Field(
        ("instruction", "input"),
        min_length=1,
        description=f"Fields whose words are counted together. {WORDS_HELP}",
    )
    below: int = Field(ge=1, description="Keep rows with fewer words than this.")


class MaxWords(Filter[MaxWordsParams]):
    """Drop rows with too many words in some fields together."""

    name = "max-words"
    version = 2
    example = {"below": 800}
    requires = ("numpy", "pyarrow")

    def reasons(self, batch: pa.RecordBatch) -> Sequence[str | None]:
        """Return `too-long` for rows with `below` words or more."""
        from .base.word_splitting import count_words

        counts = count_words(batch, self.params.fields)
        return _given(counts >= self.params.below, "too-long")

    def contradicts(
        self, earlier: Sequence[Filter[Any]], data_sets: Sequence[str]
    ) -> Breach | None:
        """Return why `min-words` before it leaves nothing."""
        others = (other for other in earlier if isinstance(other, MinWords))
        return next((why for other in others if (why := _nothing_left(self, other))), None)


class MinWordsParams(Params):
    """Fields and bound of the word count."""

    fields: tuple[TextField, ...] = Field(
        ("output",),
        min_length=1,
        description=f"Fields whose words are counted together. {WORDS_HELP}",
    )
    at_least: int = Field(ge=1, description="Keep rows with at least this many words.")


class MinWords(Filter[MinWordsParams]):
    """Drop rows with too few words in some fields together."""

    name = "min-words"
    version = 2
    example = {"at_least": 5}
    requires = ("numpy", "pyarrow")

    def reasons(self, batch: pa.RecordBatch) -> Sequence[str | None]:
        """Return `too-short` for rows with fewer words than `at_least`."""
        from .base.word_splitting import count_words

        counts = count_words(batch, self.params.fields)
        return _given(counts < self.params.at_least, "too-short")

    def contradicts(
        self, earlier: Sequence[Filter[Any]], data_sets: Sequence[str]
    ) -> Breach | None:
        """Return why `max-words` before it leaves nothing."""
        others = (other for other in earlier if isinstance(other, MaxWords))
        return next((why for other in others if (why := _nothing_left(other, self))), None)


def _nothing_left(most: MaxWords, least: MinWords) -> Breach | None:
    """Return why no row has few enough words and enough: fields of one are among the other's."""
    below, at_least = most.params.below, least.params.at_least
    if at_least < below or not set(most.params.fields).issuperset(least.params.fields):
        return None
    message = f"no row has {at_least:,} words or more and fewer than {below:,}"
    return Breach(message, hint="`max-words` and `min-words` leave nothing")


def _given(rows: Any, reason: str) -> list[str | None]:
    """Return the reason for the rows marked in this array."""
    reasons: list[str | None] = [None] * len(rows)
    for row in rows.nonzero()[0].tolist():
        reasons[row] = reason
    return reasons
