"""The schema of rows: made by readers, seen by filters, drawn by samplers, rendered by templates.

| column | type | meaning |
| --- | --- | --- |
| id | string | `<data set>/<file>#<number>`, unique in a recipe, independent of order |
| source | string | the data set's name in the recipe |
| task | string | task or subject the row belongs to; empty where there is none |
| license | string | SPDX id of the row, else of the data set; empty where not stated |
| provenance | string | the row's origin according to the data set; empty where it does not |
| categories, domains | list<string> | as the data set labels them |
| input_languages, output_languages | list<string> | English names, as in Natural Instructions |
| instruction, input, output | string | the question, its context, and the answer to train on |
| references | list<string> | every acceptable answer, `output` among them |
| turns | list<struct<role, text, extra>> | the whole conversation where there is one; else empty |
| tools | string | JSON: the tools that the assistant may call; empty where there are none |

`extra` of a turn is a JSON object of what it carries beside its text, or empty: `tool_calls`,
`reasoning_content`, `name`, `tool_call_id` as chat templates take them, `train: false` for an
answer that the loss does not count, and `content: null` for one without text.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

VERSION = 2
"""Raised when rows get other columns or types, so that rows of earlier versions are read again."""

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
    "tools": "string",
}

TURN = ("role", "text", "extra")


def row_schema() -> pa.Schema:
    """Return the Arrow schema of rows; no column has nulls."""
    import pyarrow as pa

    turn = pa.struct([pa.field(name, pa.string()) for name in TURN])
    types = {"string": pa.string(), "list": pa.list_(pa.string()), "turns": pa.list_(turn)}
    return pa.schema([pa.field(name, types[kind]) for name, kind in COLUMNS.items()])


def complete_turns(column: pa.Array) -> pa.Array:
    """Return turns with every field of the schema; one that is left out, or null, is empty."""
    import pyarrow as pa
    import pyarrow.compute as pc

    flat = column.flatten()
    given = set(flat.type.names) if pa.types.is_struct(flat.type) else set()
    empty = pa.array([""] * len(flat), pa.string())
    fields = [pc.fill_null(pc.struct_field(flat, n), "") if n in given else empty for n in TURN]
    turns = pa.StructArray.from_arrays(fields, names=list(TURN))
    lengths = pc.fill_null(pc.list_value_length(column), 0).cast(pa.int32())
    ends = pc.cumulative_sum(lengths)
    offsets = pa.concat_arrays([pa.array([0], pa.int32()), ends])
    return pa.ListArray.from_arrays(offsets, turns)


def drop_schema() -> pa.Schema:
    """Return the Arrow schema of a drop log: row id, reason and detail."""
    import pyarrow as pa

    return pa.schema([pa.field(name, pa.string()) for name in ("id", "reason", "detail")])


def prompt_of(row: Mapping[str, Any]) -> str:
    """Return the question of a row as people read it, without a template's words.

    Of a chat, the turns before its last answer, each as `role: text`.
    """
    turns = row["turns"]
    last = max((n for n, turn in enumerate(turns) if turn["role"] == "assistant"), default=0)
    if last:
        return "\n".join(f"{turn['role']}: {turn['text']}" for turn in turns[:last])
    return "\n\n".join(text for text in (row["instruction"], row["input"]) if text)


def references_of(row: Mapping[str, Any]) -> list[str]:
    """Return the answers that count: of a chat, the last, which is what was asked for."""
    references: list[str] = row["references"] or [row["output"]]
    answers = [turn["text"] for turn in row["turns"] if turn["role"] == "assistant"]
    return answers[-1:] if answers and references == [row["output"]] else references
