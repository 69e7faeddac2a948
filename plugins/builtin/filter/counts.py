"""Filter rows by a count: characters, tokens of the base, acceptable answers."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar

from pydantic import Field, model_validator

from khichdi.plugins import Filter, FilterInputs, Params

from .base.text_editor import TextField

if TYPE_CHECKING:
    import pyarrow as pa


class BoundsParams(Params):
    """Bounds of the count."""

    at_least: int | None = Field(None, ge=0, description="Drop rows with fewer than this.")
    below: int | None = Field(None, ge=1, description="Drop rows with this many or more.")

    @model_validator(mode="after")
    def _leaves_something(self) -> Self:
        if self.at_least is None and self.below is None:
            raise ValueError("set `at_least`, `below`, or both")
        if self.at_least is not None and self.below is not None and self.at_least >= self.below:
            raise ValueError(f"no number is at least {self.at_least} and below {self.below}")
        return self


class TextBoundsParams(BoundsParams):
    """Bounds of the count, and the fields that are counted."""

    fields: tuple[TextField, ...] = Field(
        ("instruction", "input", "output"),
        min_length=1,
        description="Fields whose counts are added up.",
    )


B = TypeVar("B", bound=BoundsParams)


class Bounded(Filter[B]):
    """A filter that counts something and keeps rows between two numbers."""

    requires: ClassVar[tuple[str, ...]] = ("pyarrow",)
    few = "too-short"
    many = "too-long"

    @abstractmethod
    def counts(self, batch: pa.RecordBatch) -> Sequence[int]:
        """Return the number of each row."""

    def reasons(self, batch: pa.RecordBatch) -> Sequence[str | None]:
        """Return the reason of `few` or `many` for rows outside the bounds."""
        least = 0 if self.params.at_least is None else self.params.at_least
        below = float("inf") if self.params.below is None else self.params.below
        return [
            self.few if count < least else self.many if count >= below else None
            for count in self.counts(batch)
        ]


class CharacterCount(Bounded[TextBoundsParams]):
    """Keep rows by the total number of characters in some fields."""

    name = "character-count"
    example = {"at_least": 1, "below": 4000}

    def counts(self, batch: pa.RecordBatch) -> Sequence[int]:
        """Return the characters of each row, as Python counts them."""
        import pyarrow.compute as pc

        columns = [pc.utf8_length(batch.column(name)) for name in self.params.fields]
        return [sum(counts) for counts in zip(*(c.to_pylist() for c in columns), strict=True)]


class TokenCount(Bounded[TextBoundsParams]):
    """Keep rows by the total number of tokens in some fields, by the base's tokenizer."""

    name = "token-count"
    example = {"below": 2048}
    requires = ("pyarrow", "transformers")
    uses_tokenizer = True
    _tokenizer: Any = None

    def begin(self, inputs: FilterInputs) -> None:
        """Load the base's tokenizer."""
        from khichdi.plugins.toolkit.tokenization import load_tokenizer

        assert inputs.base is not None
        self._tokenizer = load_tokenizer(inputs.base)

    def counts(self, batch: pa.RecordBatch) -> Sequence[int]:
        """Return the tokens of each row; tokens that a template or packing adds are not counted."""
        from khichdi.plugins.toolkit.tokenization import quiet

        totals = [0] * batch.num_rows
        for name in self.params.fields:
            encoded = batch.column(name).dictionary_encode()
            texts = encoded.dictionary.to_pylist()
            with quiet():
                found = self._tokenizer(texts, add_special_tokens=False) if texts else {}
            lengths = [len(ids) for ids in found.get("input_ids", [])]
            for row, index in enumerate(encoded.indices.to_pylist()):
                totals[row] += lengths[index]
        return totals


class ReferenceCount(Bounded[BoundsParams]):
    """Keep rows by the number of acceptable answers; `below: 2` keeps rows with one."""

    name = "reference-count"
    example = {"at_least": 1}
    few = "too-few-references"
    many = "too-many-references"

    def counts(self, batch: pa.RecordBatch) -> Sequence[int]:
        """Return how many references each row has."""
        import pyarrow.compute as pc

        counts: list[int] = pc.list_value_length(batch.column("references")).to_pylist()
        return counts
