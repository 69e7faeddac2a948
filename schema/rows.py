"""The schema of rows: made by readers, seen by filters, drawn by samplers, rendered by templates.

| column | type | meaning |
| --- | --- | --- |
| id | string | `<data set>/<file>#<number>`, unique in a recipe, independent of order |
| source | string | the data set's name in the recipe |
| task | string | task or subject the row belongs to; empty where there is none |
| license | string | SPDX id of the row, else of the data set; empty where not stated |
| provenance | string | where the data set says the row came from; empty where it does not |
| categories, domains | list<string> | as the data set labels them |
| input_languages, output_languages | list<string> | English names, as in Natural Instructions |
| instruction, input, output | string | what is asked, on what, and the answer to learn |
| references | list<string> | every acceptable answer, `output` among them |
| turns | list<struct<role, text>> | the whole conversation where there is one; else empty |
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

COLUMNS = {
    "id": "string",
    "source": "string",
    "task": "string",
    "license": "string",
    "provenance": "string",
    "categories": "list",
    "domains": "list",
    "input_languages": "list",
    "output_languages": "list",
    "instruction": "string",
    "input": "string",
    "output": "string",
    "references": "list",
    "turns": "turns",
}


def row_schema() -> pa.Schema:
    """Return the Arrow schema of rows; no column has nulls."""
    import pyarrow as pa

    turn = pa.struct([pa.field("role", pa.string()), pa.field("text", pa.string())])
    types = {"string": pa.string(), "list": pa.list_(pa.string()), "turns": pa.list_(turn)}
    return pa.schema([pa.field(name, types[kind]) for name, kind in COLUMNS.items()])


def drop_schema() -> pa.Schema:
    """Return the Arrow schema of a drop log: row id, reason and detail."""
    import pyarrow as pa

    return pa.schema([pa.field(name, pa.string()) for name in ("id", "reason", "detail")])
