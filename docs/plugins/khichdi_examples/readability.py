"""The filter `readability`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal, Self

from khichdi.plugins import Drop, Filter, Params, Row, hookimpl
from pydantic import Field, model_validator

WORD = re.compile(r"[a-z]+(?:'[a-z]+)?")
VOWELS = re.compile(r"[aeiouy]+")
END = re.compile(r"[.!?]+(?:\s|$)")


class ReadabilityParams(Params):
    """How easy a text has to be to read, by the Flesch reading ease of English."""

    field: Literal["instruction", "input", "output"] = Field(
        "output", description="The text to judge."
    )
    at_least: float | None = Field(
        None,
        description="Minimum reading ease; 60 is plain English, below 30 reads like a contract.",
    )
    at_most: float | None = Field(
        None, description="Maximum reading ease; above 90 is easy for a child of eleven."
    )
    min_words: int = Field(
        20, ge=1, description="Keep texts with fewer words: they are too short to judge."
    )

    @model_validator(mode="after")
    def _some_bound(self) -> Self:
        if self.at_least is None and self.at_most is None:
            raise ValueError("say `at_least`, `at_most` or both")
        return self


class Readability(Filter[ReadabilityParams]):
    """Drop rows whose English text is too hard, or too easy, to read."""

    name = "readability"
    example = {"field": "output", "at_least": 30.0}

    def reason(self, row: Row) -> Drop | None:
        """Return `hard-to-read` or `too-simple`, with the ease that was found."""
        params = self.params
        text = row[params.field]
        words = WORD.findall(text.lower())
        if len(words) < params.min_words:
            return None
        ease = reading_ease(text, words)
        if params.at_least is not None and ease < params.at_least:
            return Drop("hard-to-read", f"reading ease {ease:.1f}")
        if params.at_most is not None and ease > params.at_most:
            return Drop("too-simple", f"reading ease {ease:.1f}")
        return None


def reading_ease(text: str, words: Sequence[str]) -> float:
    """Return the Flesch reading ease: 206.835 - 1.015 words/sentence - 84.6 syllables/word."""
    sentences = max(1, len(END.findall(text)))
    syllables = sum(_syllables(word) for word in words)
    return 206.835 - 1.015 * len(words) / sentences - 84.6 * syllables / len(words)


def _syllables(word: str) -> int:
    """Return the groups of vowels, less an e at the end that is not spoken."""
    count = len(VOWELS.findall(word))
    if word.endswith("e") and not word.endswith("le"):
        count -= 1
    return max(1, count)


@hookimpl
def khichdi_filters() -> list[type[Readability]]:
    """Return the plugins of this distribution."""
    return [Readability]
