"""Keep rows by a condition on one field."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from khichdi.plugins import Breach, Filter, Params
from khichdi.plugins.toolkit.patterns import Pattern, check_pattern
from khichdi.schema.did_you_mean import did_you_mean

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
            check_pattern(pattern)
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
            return Pattern(self.matches, ignore_case=self.ignore_case).found_in
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
    requires = ("numpy", "pyarrow", "regex")

    def contradicts(
        self, earlier: Sequence[Filter[Any]], data_sets: Sequence[str]
    ) -> Breach | None:
        """Return why no text is left that the field may be, or that no row has the source."""
        field, own = self.params.field, self._texts()
        if own is None:
            return None
        names = set(data_sets)
        if field == "source" and (unknown := sorted(own - names)):
            near = did_you_mean(unknown[0], data_sets)
            hint = near.strip() or f"here there is {', '.join(data_sets)}"
            return Breach(f"no row here comes from a data set `{unknown[0]}`", hint=hint)
        left = names if field == "source" else None
        before = [e for e in earlier if isinstance(e, Where) and e.params.field == field]
        for condition in before:
            left = condition._narrow(left, names)
        after = self._narrow(left, names)
        if left == set() or after != set():
            return None
        message = f"no row can pass: nothing is left that `{field}` may be"
        return Breach(message, hint="filters one after another keep what all of them keep")

    def _texts(self) -> set[str] | None:
        """Return the texts that the condition names; None where these do not decide."""
        params = self.params
        if params.field in LISTS or params.ignore_case:
            return None
        if params.one_of:
            return set(params.one_of)
        return None if params.equals is None else {params.equals}

    def _narrow(self, left: set[str] | None, data_sets: set[str]) -> set[str] | None:
        """Return the remaining texts that a field may be; None: any."""
        own = self._texts()
        if own is None or (self.params.field == "source" and own - data_sets):
            return left
        if self.params.negate:
            return None if left is None else left - own
        return own if left is None else left & own

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
