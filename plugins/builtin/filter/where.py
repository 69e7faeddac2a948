"""Keep rows by a condition on one field."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal, Self

from pydantic import Field, field_validator, model_validator

from khichdi.plugins import Filter, Params

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


LISTS = frozenset({"categories", "domains", "input_languages", "output_languages", "references"})
"""Fields that hold lists of texts."""

OWN = frozenset({"id", "input", "output"})
"""Fields in which every row has a text of its own, as a rule."""

CONDITIONS = ("equals", "one_of", "matches", "contains")


class WhereParams(Params):
    """A field, and one condition on it."""

    field: AnyField = Field(description="Field to test; a list matches when one of its items does.")
    equals: str | None = Field(None, description="Match this exact text.")
    one_of: tuple[str, ...] | None = Field(
        None, min_length=1, description="Match any of these exact texts."
    )
    matches: str | None = Field(
        None, description="Match a Python regular expression anywhere in the text."
    )
    contains: str | None = Field(
        None,
        min_length=1,
        description="Match this text anywhere in the field.",
    )
    ignore_case: bool = Field(False, description="Ignore case.")
    negate: bool = Field(False, description="Keep the rows that do not match.")

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
        given = [name for name in CONDITIONS if getattr(self, name) is not None]
        if len(given) != 1:
            found = " and ".join(f"`{name}`" for name in given) or "none"
            known = ", ".join(f"`{name}`" for name in CONDITIONS)
            raise ValueError(f"exactly one of {known}: found {found}")
        return self

    def condition(self) -> Callable[[str], bool]:
        """Return the condition on one text."""
        if self.matches is not None:
            found = re.compile(self.matches, re.IGNORECASE if self.ignore_case else 0).search
            return lambda text: found(text) is not None
        same = str.casefold if self.ignore_case else str
        if self.contains is not None:
            part = same(self.contains)
            return lambda text: part in same(text)
        wanted = frozenset(map(same, self.one_of or (str(self.equals),)))
        return lambda text: same(text) in wanted


class Where(Filter[WhereParams]):
    """Keep rows whose field equals, contains or matches something."""

    name = "where"
    example = {"field": "task", "contains": "translation"}
    requires = ("numpy", "pyarrow")

    def reasons(self, batch: pa.RecordBatch) -> Sequence[str | None]:
        """Return `where` for rows that do not meet the condition."""
        from .base.predicates import meeting, meeting_items, note

        meets = self.params.condition()
        column = batch.column(self.params.field)
        if self.params.field in LISTS:
            found = meeting_items(column, meets) > 0
        else:
            found = meeting(column, meets, repeats=self.params.field not in OWN)
        reasons: list[str | None] = [None] * batch.num_rows
        note(reasons, found if self.params.negate else ~found, "where")
        return reasons
