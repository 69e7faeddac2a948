"""Choose rows by what their data set says of them: languages and categories."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, Self

from pydantic import Field, model_validator

from ... import Filter, Params

if TYPE_CHECKING:
    import pyarrow as pa


class LanguagesParams(Params):
    """Which languages are wanted, by their English names."""

    input: tuple[str, ...] | None = Field(
        None, min_length=1, description="Languages the input may be in; left out, any."
    )
    output: tuple[str, ...] | None = Field(
        None, min_length=1, description="Languages the output may be in; left out, any."
    )
    undeclared: Literal["keep", "drop"] = Field(
        "drop", description="What to do with rows whose data set does not say the language."
    )

    @model_validator(mode="after")
    def _asks_something(self) -> Self:
        if self.input is None and self.output is None:
            raise ValueError("name languages for `input`, for `output`, or for both")
        return self


class Languages(Filter[LanguagesParams]):
    """Keep rows all of whose declared languages are among those named."""

    name = "languages"
    example = {"input": ["English"], "output": ["English"]}

    def reasons(self, batch: pa.RecordBatch) -> Sequence[str | None]:
        """Return `language-input` or `language-output` for rows in other languages."""
        reasons: list[str | None] = [None] * batch.num_rows
        for side, wanted in (("output", self.params.output), ("input", self.params.input)):
            if wanted is None:
                continue
            allowed = frozenset(wanted)
            declared = batch.column(f"{side}_languages").to_pylist()
            for number, languages in enumerate(declared):
                kept = allowed.issuperset(languages) if languages else self._keeps_undeclared
                if not kept:
                    reasons[number] = f"language-{side}"
        return reasons

    @property
    def _keeps_undeclared(self) -> bool:
        return self.params.undeclared == "keep"


class CategoriesParams(Params):
    """Which categories are wanted or not."""

    include: tuple[str, ...] | None = Field(
        None, min_length=1, description="A row is kept when it has one of these; left out, any."
    )
    exclude: tuple[str, ...] | None = Field(
        None, min_length=1, description="A row is dropped when it has one of these."
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
    """Choose rows by the categories that their data set puts them in."""

    name = "categories"
    example = {"exclude": ["Question Generation"]}

    def reasons(self, batch: pa.RecordBatch) -> Sequence[str | None]:
        """Return `category-excluded` or `category-not-included` for rows that go."""
        include = None if self.params.include is None else frozenset(self.params.include)
        exclude = frozenset(self.params.exclude or ())

        def reason(categories: list[str]) -> str | None:
            if not exclude.isdisjoint(categories):
                return "category-excluded"
            if include is not None and include.isdisjoint(categories):
                return "category-not-included"
            return None

        return [reason(categories) for categories in batch.column("categories").to_pylist()]
