"""The text of rows: the prompt, the whole, words, and a normal form to compare by."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

UNSPACED = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
"""Scripts without spaces between words: each of their characters counts as one."""
WORD = rf"[{UNSPACED}]|[^\s\p{{Z}}{UNSPACED}]+"
"""A regular expression for one word, for RE2 and `regex` alike."""


def prompts(table: pa.Table) -> pa.Array:
    """Return what each row asks: of a conversation, its turns up to the last answer."""
    asked = pc.binary_join_element_wise(
        _column(table, "instruction"), _column(table, "input"), "\n"
    )
    turns = _column(table, "turns")
    if not len(turns.flatten()):
        return asked
    before = [
        "\n".join(turn["text"] for turn in (row[:-1] if _answered(row) else row))
        for row in turns.to_pylist()
    ]
    return pc.if_else(_spoken(turns), pa.array(before, pa.string()), asked)


def whole_texts(table: pa.Table) -> pa.Array:
    """Return the text of each row: all turns of a conversation, else question and answer."""
    fields = [_column(table, name) for name in ("instruction", "input", "output")]
    single = pc.binary_join_element_wise(*fields, "\n")
    turns = _column(table, "turns")
    if not len(turns.flatten()):
        return single
    spoken = pa.ListArray.from_arrays(turns.offsets, turns.values.field("text"))
    return pc.if_else(_spoken(turns), pc.binary_join(spoken, "\n"), single)


def word_counts(texts: pa.Array) -> pa.Array:
    """Return the number of words of each text."""
    return pc.count_substring_regex(texts, WORD)


def normal(texts: pa.Array) -> pa.Array:
    """Return texts in lower case, all between letters, marks and digits made one space."""
    lower = pc.utf8_lower(pc.utf8_normalize(texts, form="NFKC"))
    return pc.utf8_trim_whitespace(pc.replace_substring_regex(lower, r"[^\pL\pM\pN]+", " "))


def _column(table: pa.Table, name: str) -> Any:
    column = table.column(name).combine_chunks()
    return column if isinstance(column, pa.Array) else pa.concat_arrays(column.chunks)


def _spoken(turns: pa.Array) -> pa.Array:
    return pc.greater(pc.list_value_length(turns), 0)


def _answered(turns: list[dict[str, str]]) -> bool:
    return bool(turns) and turns[-1]["role"] == "assistant"
