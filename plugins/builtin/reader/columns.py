"""What readers can fill of a row, as parameters say it. Light: imported at start-up."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import StringConstraints

TextColumn = Literal["task", "license", "provenance", "instruction", "input", "output"]
"""Columns of text that a record's field can fill."""

ListColumn = Literal["categories", "domains", "input_languages", "output_languages", "references"]
"""Columns of lists of texts that a record's field can fill."""

Column = Literal[TextColumn, ListColumn]
"""Columns that a record's field can fill."""

FieldPath = Annotated[str, StringConstraints(min_length=1)]
"""A field of a record: its name, or names and list positions joined by dots (`meta.subject`)."""

Columns = dict[Column, FieldPath]
"""Our column -> their field."""

COLUMNS_HELP = (
    "Which field of a record fills which column: `{instruction: question, output: answer}`. "
    "Dots reach into nested fields (`meta.subject`, `answers.0`). "
)
AS_TEXT_HELP = (
    "Columns whose numbers and truth values become text as JSON writes them (42, 0.5, true); "
    "in any other column they are an error."
)
