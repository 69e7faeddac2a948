"""Filter rows by labels of their data set: languages and categories."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, Self

from pydantic import Field, model_validator

from khichdi.plugins import Filter, Params

if TYPE_CHECKING:
    import pyarrow as pa


class LanguagesParams(Params):
    """Languages to keep, by their English names."""

    input: tuple[str, ...] | None = Field(
        None, min_length=1, description="Allowed languages of the input; any if omitted."
    )
    output: tuple[str, ...] | None = Field(
        None, min_length=1, description="Allowed languages of the output; any if omitted."
    )
    undeclared: Literal["keep", "drop"] = Field(
        "drop", description="What to do with rows whose data set does not declare a language."
    )

    @model_validator(mode="after")
    def _asks_something(self) -> Self:
        if self.input is None and self.output is None:
            raise ValueError("name languages for `input`, for `output`, or for both")
        return self


class Languages(Filter[LanguagesParams]):
    """Keep rows whose declared languages are all among those listed."""

    name = "languages"
    example = {"input": ["English"], "output": ["English"]}
    requires = ("numpy", "pyarrow")

    def reasons(self, batch: pa.RecordBatch) -> Sequence[str | None]:
        """Return `language-input` or `language-output` for rows in other languages."""
        from .base.predicates import lengths, meeting_items, note

        reasons: list[str | None] = [None] * batch.num_rows
        for side, wanted in (("output", self.params.output), ("input", self.params.input)):
            if wanted is None:
                continue
            declared = batch.column(f"{side}_languages")
            drop = meeting_items(declared, wanted.__contains__) < lengths(declared)
            if self.params.undeclared == "drop":
                drop |= lengths(declared) == 0
            note(reasons, drop, f"language-{side}")
        return reasons


class CategoriesParams(Params):
    """Categories to keep or drop."""

    include: tuple[str, ...] | None = Field(
        None, min_length=1, description="Keep rows with at least one of these; any if omitted."
    )
    exclude: tuple[str, ...] | None = Field(
        None, min_length=1, description="Drop rows with at least one of these."
    )

    @model_validator(mode="after")
    def _asks_something(self) -> Self:
        if self.include is None and self.exclude is None:
            raise ValueError("name categories to `include`, to `exclude`, or both")
        both = sorted(set(self.include or ()) & set(self.exclude or ()))
        if both:
            raise ValueError(f"{', '.join(both)}: both included and excluded")
        return self


class Categories(Filter[CategoriesParams]):
    """Keep or drop rows by the categories that their data set declares."""

    name = "categories"
    example = {"exclude": ["Question Generation"]}
    requires = ("numpy", "pyarrow")

    def reasons(self, batch: pa.RecordBatch) -> Sequence[str | None]:
        """Return `category-excluded` or `category-not-included` for rows that go."""
        from .base.predicates import meeting_items, note

        reasons: list[str | None] = [None] * batch.num_rows
        categories = batch.column("categories")
        include, exclude = self.params.include, self.params.exclude
        if include is not None:
            without = meeting_items(categories, include.__contains__) == 0
            note(reasons, without, "category-not-included")
        if exclude is not None:
            note(reasons, meeting_items(categories, exclude.__contains__) > 0, "category-excluded")
        return reasons
