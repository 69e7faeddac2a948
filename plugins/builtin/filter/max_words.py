"""Drop rows that are too long."""

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

    def reasons(self, batch: pa.RecordBatch) -> Sequence[str | None]:
        """Return `too-long` for rows with `below` words or more."""
        from .words import count_words

        counts = count_words(batch, self.params.fields)
        return ["too-long" if count >= self.params.below else None for count in counts]
