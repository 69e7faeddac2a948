"""Truncate long texts, by tokens of the base or by words."""

from __future__ import annotations

import re
from itertools import islice
from typing import Any

from pydantic import Field

from khichdi.plugins import FilterInputs, StepError

from .base.scripts import WORD, WORDS_HELP
from .base.text_editor import EditedField, FieldsParams, TextEditor

_WORD = re.compile(WORD)


class TruncateWordsParams(FieldsParams):
    """Fields to truncate, and the maximum length."""

    fields: tuple[EditedField, ...] = Field(
        ("input",), min_length=1, description="Fields to truncate, each separately."
    )
    words: int = Field(ge=1, description=f"Words that stay. {WORDS_HELP}")


class TruncateWords(TextEditor[TruncateWordsParams]):
    """Truncate texts to a number of words, preserving the white space between them."""

    name = "truncate-words"
    version = 2
    example = {"words": 500}

    def text(self, text: str) -> str:
        """Return the head of the text; a text that is short enough stays as it is."""
        kept = list(islice(_WORD.finditer(text), self.params.words + 1))
        return text[: kept[-2].end()] if len(kept) > self.params.words else text


class TruncateParams(FieldsParams):
    """Fields to truncate, and the maximum length."""

    fields: tuple[EditedField, ...] = Field(
        ("input",), min_length=1, description="Fields to truncate, each separately."
    )
    tokens: int = Field(ge=1, description="Maximum number of tokens, by the base's tokenizer.")


class Truncate(TextEditor[TruncateParams]):
    """Truncate texts to a number of tokens; no word is split."""

    name = "truncate"
    example = {"tokens": 1024}
    requires = ("pyarrow", "transformers")
    uses_tokenizer = True
    _tokenizer: Any = None

    def begin(self, inputs: FilterInputs) -> None:
        """Load the base's tokenizer.

        Raises:
            StepError: the tokenizer does not map tokens to characters.
        """
        from khichdi.plugins.toolkit.tokenization import load_tokenizer

        assert inputs.base is not None
        self._tokenizer = load_tokenizer(inputs.base)
        if not self._tokenizer.is_fast:
            raise StepError(
                "`truncate` needs a tokenizer with character offsets",
                hint="cut by words, `{use: truncate-words, words: 400}`, or use a base with a "
                "tokenizer.json",
            )

    def text(self, text: str) -> str:
        """Return the head of the text."""
        return self.texts([text])[0]

    def texts(self, texts: list[str]) -> list[str]:
        """Return the heads of the texts; those that are short enough stay as they are.

        A head can have more tokens than it had in the whole text, so it is counted again.
        """
        done = list(texts)
        left = [place for place, text in enumerate(done) if text]
        while left:
            ends = self._ends([done[place] for place in left])
            long = [(place, end) for place, end in zip(left, ends, strict=True) if end is not None]
            for place, end in long:
                done[place] = _head(done[place], end)
            left = [place for place, _ in long]
        return done

    def _ends(self, texts: list[str]) -> list[int | None]:
        """Return where the last token that may stay ends; None where all may."""
        from khichdi.plugins.toolkit.tokenization import quiet

        with quiet():
            found = self._tokenizer(texts, add_special_tokens=False, return_offsets_mapping=True)
        most = self.params.tokens
        return [
            offsets[most - 1][1] if len(offsets) > most else None
            for offsets in found["offset_mapping"]
        ]


def _head(text: str, end: int) -> str:
    """Return the whole words before a place; of a text that is one word, its characters."""
    end = min(end, len(text) - 1)
    whole = end
    while whole > 0 and not text[whole].isspace():
        whole -= 1
    return text[:whole].rstrip() or text[:end].rstrip()
