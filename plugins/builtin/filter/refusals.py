"""Drop answers in which a model refuses, apologizes, or calls itself a model."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

from pydantic import Field, StringConstraints

from khichdi.plugins import Drop, Filter, Params

from .base.text_editor import TextField

if TYPE_CHECKING:
    import pyarrow as pa

PHRASES = (
    "as a language model",
    "as a large language model",
    "as an AI",
    "as an artificial intelligence",
    "I am just an AI",
    "I'm just an AI",
    "I am sorry, but",
    "I'm sorry, but",
    "I apologize, but",
    "I cannot fulfill",
    "I can't fulfill",
    "I cannot assist",
    "I can't assist",
    "I cannot provide",
    "I can't provide",
    "I am unable to",
    "I'm unable to",
    "my training data",
    "my knowledge cutoff",
    "OpenAI's policies",
    "violates the content policy",
)
"""Phrases of models that refuse or speak of themselves."""

Phrase = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]


class RefusalsParams(Params):
    """Phrases to search for, and the fields."""

    phrases: tuple[Phrase, ...] = Field(
        PHRASES,
        min_length=1,
        description=(
            "Drop rows that contain one of these as whole words, ignoring case, the kind of "
            "apostrophe and the amount of white space. Replaces the default list."
        ),
    )
    fields: tuple[TextField, ...] = Field(
        ("output",), min_length=1, description="Fields to search."
    )


class Refusals(Filter[RefusalsParams]):
    """Drop rows whose answer refuses, or refers to itself as a language model."""

    name = "refusals"

    def __init__(self, params: RefusalsParams) -> None:
        super().__init__(params)
        # Longest first, so that the detail names the most telling phrase.
        phrases = sorted(params.phrases, key=lambda phrase: (-len(phrase), phrase))
        either = "|".join(map(_pattern, phrases))
        self._search = re.compile(rf"(?<!\w)(?:{either})(?!\w)", re.IGNORECASE).search

    def reasons(self, batch: pa.RecordBatch) -> Sequence[str | Drop | None]:
        """Return `refusal`, with the phrase as written, for rows that have one."""
        columns = [batch.column(name).to_pylist() for name in self.params.fields]
        return [self._reason(texts) for texts in zip(*columns, strict=True)]

    def _reason(self, texts: Sequence[str]) -> Drop | None:
        for text in texts:
            if found := self._search(text):
                return Drop("refusal", found.group())
        return None


def _pattern(phrase: str) -> str:
    words = (re.escape(word) for word in phrase.split())
    return re.sub("['\u2019]", "['\u2019]", r"\s+".join(words))
