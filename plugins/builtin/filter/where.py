"""Keep rows by what stands in one field."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal, Self

from pydantic import Field, field_validator, model_validator

from ... import Filter, Params

if TYPE_CHECKING:
    import pyarrow as pa

AnyField = Literal[
    "id",
    "source",
    "task",
    "license",
    "provenance",
    "categories",
    "domains",
    "input_languages",
    "output_languages",
    "instruction",
    "input",
    "output",
    "references",
]


class WhereParams(Params):
    """A field, and one condition on it."""

    field: AnyField = Field(
        description="The field to look at; a list meets the condition when one of its items does."
    )
    equals: str | None = Field(None, description="The whole text.")
    one_of: tuple[str, ...] | None = Field(None, min_length=1, description="Any of these texts.")
    matches: str | None = Field(
        None, description="A Python regular expression that is found anywhere in the text."
    )
    negate: bool = Field(False, description="Keep the rows that do not meet the condition.")

    @field_validator("matches")
    @classmethod
    def _compiles(cls, pattern: str | None) -> str | None:
        if pattern is not None:
            try:
                re.compile(pattern)
            except (re.error, RecursionError, OverflowError) as error:
                raise ValueError(f"not a regular expression: {error}") from None
        return pattern

    @model_validator(mode="after")
    def _asks_one_thing(self) -> Self:
        given = [
            name for name in ("equals", "one_of", "matches") if getattr(self, name) is not None
        ]
        if len(given) != 1:
            found = " and ".join(f"`{name}`" for name in given) or "none"
            raise ValueError(f"exactly one of `equals`, `one_of`, `matches`: found {found}")
        return self

    def condition(self) -> Callable[[str], bool]:
        """Return the condition on one text."""
        if self.matches is not None:
            found = re.compile(self.matches).search
            return lambda text: found(text) is not None
        wanted = frozenset(self.one_of or (self.equals,))
        return lambda text: text in wanted


class Where(Filter[WhereParams]):
    """Keep rows whose field equals a text, is one of some, or matches a regular expression."""

    name = "where"

    def reasons(self, batch: pa.RecordBatch) -> Sequence[str | None]:
        """Return `where` for rows that do not meet the condition."""
        meets = self.params.condition()
        negate = self.params.negate

        def kept(value: str | list[str]) -> bool:
            found = any(map(meets, value)) if isinstance(value, list) else meets(value)
            return found is not negate

        values = batch.column(self.params.field).to_pylist()
        return [None if kept(value) else "where" for value in values]
