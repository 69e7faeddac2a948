"""Rewrite texts by rules in the recipe: replace, lower-case, cut after a marker."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Self

from pydantic import Field, model_validator

from khichdi.plugins.toolkit.patterns import Pattern

from .base.text_editor import EditedField, FieldsParams, TextEditor, rewrite

if TYPE_CHECKING:
    import pyarrow as pa


class ReplaceParams(FieldsParams):
    """Pattern and replacement."""

    pattern: str = Field(
        min_length=1,
        description="A Python regular expression; `(?i)` at its start ignores case.",
    )
    by: str = Field(description="Replacement for each match; `\\1` and `\\g<name>` are its groups.")

    @model_validator(mode="after")
    def _compiles(self) -> Self:
        try:
            pattern = re.compile(self.pattern)
        except (re.error, RecursionError, OverflowError) as error:
            raise ValueError(f"`pattern` is not a regular expression: {error}") from None
        try:
            pattern.sub(self.by, "")
        except (re.error, IndexError) as error:
            raise ValueError(f"`by` does not fit the pattern: {error}") from None
        return self


class Replace(TextEditor[ReplaceParams]):
    """Replace matches of a regular expression."""

    name = "replace"
    example = {"pattern": "colour", "by": "color"}
    requires = ("pyarrow", "regex")

    def __init__(self, params: ReplaceParams) -> None:
        super().__init__(params)
        self._pattern = Pattern(params.pattern)

    def text(self, text: str) -> str:
        """Return the text with every match replaced."""
        return self._pattern.replace(self.params.by, text)


class CutAfterParams(FieldsParams):
    """Marker and fields."""

    fields: tuple[EditedField, ...] = Field(
        ("output",), min_length=1, description="Fields to truncate."
    )
    marker: str = Field(
        min_length=1,
        description="Marker: the text is removed from its first occurrence on, such as `####`.",
    )
    keep: bool = Field(False, description="Keep the marker itself.")


class CutAfter(TextEditor[CutAfterParams]):
    """Truncate texts at the first occurrence of a marker, and strip the white space before it."""

    name = "cut-after"
    example = {"marker": "###"}

    def text(self, text: str) -> str:
        """Return the text up to the marker; a text without it stays as it is."""
        before, marker, _ = text.partition(self.params.marker)
        if not marker:
            return text
        return before + marker if self.params.keep else before.rstrip()


class LowerCaseParams(FieldsParams):
    """Fields to edit, and the fraction of rows."""

    fraction: float = Field(
        1.0,
        gt=0,
        le=1,
        description="Fraction of the rows to edit, drawn by the seed: 0.3 is about three in ten.",
    )


class LowerCase(TextEditor[LowerCaseParams]):
    """Lower-case texts, in every row or in a fraction of them drawn by the seed."""

    name = "lower-case"
    seeded = True

    def text(self, text: str) -> str:
        """Return the text in lower case."""
        return text.lower()

    def edit(self, batch: pa.RecordBatch, draw: Sequence[int]) -> pa.RecordBatch:
        """Return the rows with the fields of those drawn in lower case."""
        bound = int(self.params.fraction * 2**64)
        return rewrite(batch, self.params.fields, self.texts, [number < bound for number in draw])
