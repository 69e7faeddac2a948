"""Parameters shared by readers: columns, types, bad rows. Light: imported at start-up."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints

from khichdi.plugins import Params

from ...placeholders import checked

TextColumn = Literal["task", "license", "provenance", "instruction", "input", "output"]
"""Columns of text that a record's field can fill."""

ListColumn = Literal["categories", "domains", "input_languages", "output_languages", "references"]
"""Columns of lists of texts that a record's field can fill."""

Column = Literal[TextColumn, ListColumn]
"""Columns that a record's field can fill."""

FieldPath = Annotated[str, StringConstraints(min_length=1)]
"""A field of a record: its name, or names and list positions joined by dots (`meta.subject`)."""

TemplateText = Annotated[str, AfterValidator(checked)]
"""A text with names in braces, for which something else is put."""

OnBadRow = Literal["error", "drop"]
"""Handling of a record that cannot be read."""

Columns = dict[Column, FieldPath]
"""Our column -> their field."""

COLUMNS_HELP = (
    "Which field of a record fills which column: `{instruction: question, output: answer}`. "
    "Dots reach into nested fields (`meta.subject`, `answers.0`), and `*` is every item of a list "
    "(`steps.*.text`). "
)
AS_TEXT_HELP = (
    "Columns whose numbers and booleans are converted to text as in JSON (42, 0.5, true); in "
    "any other column they are an error."
)


class ReaderParams(Params):
    """Parameters shared by the built-in readers."""

    on_bad_row: OnBadRow = Field(
        "error",
        description=(
            "What to do with a malformed record, or one with a missing field or a wrong type: stop "
            "and report it, or `drop` it and count it by reason. A file that cannot be read to its "
            "end is always an error: the lost records could not be counted."
        ),
    )
