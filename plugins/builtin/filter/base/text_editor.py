"""Base class of text editors: which fields they edit, and how the rest of a row follows."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeVar

from pydantic import Field

from khichdi.plugins import Editor, Params

if TYPE_CHECKING:
    import pyarrow as pa

TextField = Literal["instruction", "input", "output"]
EditedField = Literal["instruction", "input", "output", "turns"]
Change = Callable[[list[str]], list[str]]
"""Texts -> what becomes of each."""


class FieldsParams(Params):
    """Fields to edit."""

    fields: tuple[EditedField, ...] = Field(
        ("instruction", "input", "output", "turns"),
        min_length=1,
        description=(
            "Fields to edit. References change with the `output`; unless `turns` are named, those "
            "that repeat the instruction or the output still follow them."
        ),
    )


F = TypeVar("F", bound=FieldsParams)


class TextEditor(Editor[F]):
    """Edit every text of some fields in the same way."""

    requires: ClassVar[tuple[str, ...]] = ("pyarrow",)

    @abstractmethod
    def text(self, text: str) -> str:
        """Return what becomes of a text."""

    def texts(self, texts: list[str]) -> list[str]:
        """Return what becomes of texts, for editors that are faster with many at once."""
        return [self.text(text) for text in texts]

    def edit(self, batch: pa.RecordBatch, draw: Sequence[int]) -> pa.RecordBatch:
        """Return the rows with the fields changed."""
        return rewrite(batch, self.params.fields, self.texts)


def rewrite(
    batch: pa.RecordBatch,
    fields: Sequence[str],
    change: Change,
    chosen: Sequence[bool] | None = None,
) -> pa.RecordBatch:
    """Return a batch with the texts of some fields changed, in the chosen rows or in all."""
    import pyarrow as pa
    import pyarrow.compute as pc

    mask = None if chosen is None else pa.array(chosen, pa.bool_())
    new = {}
    for name in fields:
        if name != "turns":
            column = _changed(batch.column(name), change)
            new[name] = column if mask is None else pc.if_else(mask, column, batch.column(name))
    picked = chosen or [True] * batch.num_rows
    if "output" in new:
        lists = batch.column("references").to_pylist()
        every = iter(change([text for texts in lists for text in texts]))
        after = [list(dict.fromkeys(next(every) for _ in texts)) for texts in lists]
        both = zip(picked, after, lists, strict=True)
        new["references"] = _typed(batch, "references", [b if yes else a for yes, b, a in both])
    if "turns" in fields:
        lists = batch.column("turns").to_pylist()
        every = iter(change([turn["text"] for turns in lists for turn in turns]))
        after = [[turn | {"text": next(every)} for turn in turns] for turns in lists]
        both = zip(picked, after, lists, strict=True)
        new["turns"] = _typed(batch, "turns", [b if yes else a for yes, b, a in both])
        return _with(batch, new)
    return replaced(batch, new)


def replaced(batch: pa.RecordBatch, new: dict[str, Any]) -> pa.RecordBatch:
    """Return a batch with other columns, whose turns repeat the new texts where they did the old.

    The user's first turn that is the old instruction becomes the new one, and the assistant's
    first that is the old output.
    """
    import pyarrow.compute as pc

    spoken = {"user": "instruction", "assistant": "output"}
    moved = [role for role, name in spoken.items() if name in new]
    if moved and pc.sum(pc.list_value_length(batch.column("turns"))).as_py():
        turns = batch.column("turns").to_pylist()
        for role in moved:
            old = batch.column(spoken[role]).to_pylist()
            for said, before, after in zip(turns, old, new[spoken[role]].to_pylist(), strict=True):
                for turn in said:
                    if turn["role"] == role and turn["text"] == before:
                        turn["text"] = after
                        break
        new["turns"] = _typed(batch, "turns", turns)
    return _with(batch, new)


def _changed(column: pa.Array, change: Change) -> pa.Array:
    """Return a column changed; each different text once: the rows of a task share theirs."""
    import pyarrow as pa

    encoded = column.dictionary_encode()
    texts = change(encoded.dictionary.to_pylist())
    return pa.array(texts, pa.string()).take(encoded.indices)


def _typed(batch: pa.RecordBatch, name: str, values: list[Any]) -> pa.Array:
    import pyarrow as pa

    return pa.array(values, batch.schema.field(name).type)


def _with(batch: pa.RecordBatch, new: dict[str, Any]) -> pa.RecordBatch:
    import pyarrow as pa

    columns = [new.get(name, batch.column(name)) for name in batch.schema.names]
    return pa.RecordBatch.from_arrays(columns, schema=batch.schema)
