"""Render an instruction, input or output from the fields of its row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Self

from pydantic import Field, model_validator

from khichdi.plugins import Editor, Params

from ..placeholders import PlaceholderText, check_names
from ..reader.records.columns import TemplateText
from .base.text_editor import replaced

if TYPE_CHECKING:
    import pyarrow as pa

NAMES = ("instruction", "input", "output", "task", "source", "provenance")
FIELDS = ("instruction", "input", "output")


class RenderParams(Params):
    """Template of each field."""

    instruction: TemplateText | None = Field(
        None,
        description=(
            "Template of the new instruction, with fields of the row in braces: "
            '`"{input}\\n\\nSummarize the above article in 3 sentences."`. Unchanged if omitted.'
        ),
    )
    input: TemplateText | None = Field(
        None, description='Template of the new input; `""` empties it. Unchanged if omitted.'
    )
    output: TemplateText | None = Field(
        None,
        description="Template of the new output, and of each reference. Unchanged if omitted.",
    )

    @model_validator(mode="after")
    def _names_are_known(self) -> Self:
        given = [text for name in FIELDS if (text := getattr(self, name)) is not None]
        if not given:
            raise ValueError("set `instruction`, `input` or `output`")
        for text in given:
            check_names(text, NAMES)
        return self


class Render(Editor[RenderParams]):
    """Render the instruction, input or output from the row's original fields."""

    name = "render"
    example = {"input": "{instruction}\n{input}", "instruction": ""}
    requires = ("pyarrow",)

    def edit(self, batch: pa.RecordBatch, draw: Sequence[int]) -> pa.RecordBatch:
        """Return the rows with the fields composed; white space at their ends is left out."""
        import pyarrow as pa

        columns = [batch.column(name).to_pylist() for name in NAMES]
        rows = [dict(zip(NAMES, values, strict=True)) for values in zip(*columns, strict=True)]
        new = {}
        for name in FIELDS:
            if (written := getattr(self.params, name)) is not None:
                text = PlaceholderText(written)
                new[name] = pa.array([text.fill(row) for row in rows], pa.string())
        if self.params.output is not None:
            text = PlaceholderText(self.params.output)
            lists = [
                list(dict.fromkeys(text.fill(row | {"output": one}) for one in references))
                for row, references in zip(
                    rows, batch.column("references").to_pylist(), strict=True
                )
            ]
            new["references"] = pa.array(lists, batch.schema.field("references").type)
        return replaced(batch, new)
