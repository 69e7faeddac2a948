"""Recognize the layout of a file's records: chats, question and answer, or plain text."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...schema.did_you_mean import nearest
from ...schema.errors import InputError
from .choice_layout import choice_fields, choice_reader

Record = Mapping[str, Any]

CHAT, INSTRUCT, COMPLETION = "chat", "instruct", "completion"
MAPPED = ("messages", "instruction", "input", "output")
"""What a field can be mapped to."""
TURNS = ("messages", "conversations", "conversation", "dialogue", "dialog", "turns", "chat")
"""Usual fields of a list of turns."""
SPOKEN = (("role", "content"), ("from", "value"), ("role", "text"))
"""Fields of a turn: speaker and text; tool calls stand in place of the second."""
QUESTIONS: tuple[tuple[str, str | None], ...] = (
    ("instruction", "input"), ("instruction", "context"), ("instruction", None),
    ("prompt", None), ("question", "context"), ("question", None), ("query", None),
    ("problem", None), ("article", None), ("document", None), ("dialogue", None), ("input", None),
)  # fmt: skip
"""Usual fields of a question, and of further input; the first pair that a file has counts."""
ANSWERS = (
    "output", "completion", "response", "solution", "answer", "target", "summary", "highlights",
)  # fmt: skip
TEXTS = ("text", "content", "document")
READERS = {
    ".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "json", ".csv": "csv", ".tsv": "csv",
    ".parquet": "parquet",
}  # fmt: skip
"""Readers of tables by the ending of a file."""
NATURAL_INSTRUCTIONS = "natural-instructions"
"""The reader of task files, which are one object each."""


@dataclass(frozen=True)
class Layout:
    """The layout of a file's records.

    Attributes:
        kind: `chat`, `instruct` or `completion`.
        words: the layout in words, after "rows of".
        read: the reader, as a step of a recipe.
        template: the template of plain text that suits the rows, as a step.
    """

    kind: str
    words: str
    read: dict[str, Any]
    template: dict[str, Any]

    def fields(self) -> set[str]:
        """Return the fields of a record that the reader takes."""
        columns = self.read.get("columns")
        if self.read["use"] == "multiple-choice":
            return choice_fields(self.read)
        if self.read["use"] == NATURAL_INSTRUCTIONS:
            return {"id", "input", "output"}
        if columns:
            return {part for path in columns.values() for part in (path, path.split(".")[0])}
        if self.kind == CHAT:
            return {self.read["field"], "tools", "system"}
        return {*MAPPED[1:], self.read.get("history", "output")}


def layout_of(records: Sequence[Record], table: Mapping[str, Any]) -> Layout | None:
    """Return the layout of records, or None where their fields have no usual names.

    `table` is the reader that takes the file's fields as columns, as a step of a recipe.
    """
    if table["use"] == NATURAL_INSTRUCTIONS:
        return Layout(INSTRUCT, "a Natural Instructions task", dict(table), {"use": "alpaca"})
    fields = dict.fromkeys(name for record in records for name in record)
    named = {name.lower(): name for name in reversed(fields)}
    chats = [name for name in fields if _each(records, name, are_turns)]
    usual = [named[name] for name in TURNS if named.get(name) in chats]
    if usual or len(chats) == 1:
        return _chat(records, (usual or chats)[0])
    if choices := choice_reader(records, table):
        return Layout(INSTRUCT, "multiple-choice questions", choices, {"use": "question-answer"})
    text = {low: name for low, name in named.items() if _each(records, name, _is_text)}
    for question, more in QUESTIONS:
        answer = next((name for name in ANSWERS if name in text and name != question), None)
        if answer and question in text and (more is None or more in text):
            own = (question, more, answer) == ("instruction", "input", "output")
            found = {"instruction": text[question], "output": text[answer]}
            if more:
                found["input"] = text[more]
            bare = (question, more, answer) == ("instruction", None, "output")
            alpaca = (own or bare) and found == {name: name for name in found}
            alpaca = alpaca and "field" not in table
            if alpaca and _each(records, "history", lambda value: isinstance(value, list)):
                table = {"use": "alpaca", "history": "history"}
            elif alpaca:
                table = {"use": "alpaca"}
            return _pair(records, found, table, question)
    alone = list(fields) if len(fields) == 1 else []
    plain = [text[name] for name in TEXTS if name in text]
    plain += [name for name in alone if name in text.values()]
    return _plain(records, plain[0], table) if plain else None


def mapped_layout(
    records: Sequence[Record], columns: Mapping[str, str], table: Mapping[str, Any]
) -> Layout:
    """Return the layout that a mapping of fields gives: {our column: their field}.

    Raises:
        InputError: a column is unknown, no record has a field, or there is nothing to learn.
    """
    for ours, theirs in columns.items():
        if ours not in MAPPED:
            raise InputError(f"`{ours}` cannot be mapped", hint=f"known: {', '.join(MAPPED)}")
        fields = dict.fromkeys(name for record in records for name in record)
        if theirs.split(".")[0] not in fields and theirs not in fields:
            near = nearest(theirs, fields)
            hint = f"did you mean `{near}`? " if near else ""
            raise InputError(
                f"no record has a field `{theirs}`", hint=f"{hint}the fields: {', '.join(fields)}"
            )
    if set(columns) == {"messages"}:
        return _chat(records, columns["messages"])
    if "output" not in columns or "messages" in columns:
        raise InputError(
            "the columns name no `output`, the text to train on",
            hint="map either `messages`, or `output` with `instruction` and `input`",
        )
    if set(columns) == {"output"}:
        return _plain(records, columns["output"], table)
    return _pair(records, dict(columns), table, next(n for n in MAPPED if n in columns))


def _chat(records: Sequence[Record], field: str) -> Layout:
    chats = [record[field] for record in records if isinstance(record.get(field), list)]
    first = next((turn for turns in chats for turn in turns if isinstance(turn, dict)), {})
    style = "ShareGPT turns" if "from" in first else "messages"
    words = style if field == "messages" == style else f"{style} in `{field}`"
    read = {"use": "conversations", "field": field}
    return Layout(CHAT, words, read, {"use": "alpaca"})


def _pair(
    records: Sequence[Record], found: dict[str, str], reader: Mapping[str, Any], question: str
) -> Layout:
    """Return the layout of a question and its answer, by the usual name of the question."""
    order = [name for name in ("instruction", "input", "output") if name in found]
    names = [f"`{found[name]}`" for name in order]
    words = f"{', '.join(names[:-1])} and {names[-1]}"
    read = dict(reader)
    if read["use"] != "alpaca":
        read["columns"] = {name: found[name] for name in order}
    template: dict[str, Any] = {"use": "alpaca"}
    if question == "question":
        template = {"use": "question-answer"}
    elif question != "instruction":
        between = "" if _parted(records, found[order[0]], found["output"]) else "\n"
        place = "".join(f"{{{name}}}{between}" for name in order[:-1])
        template = {"use": "text", "prompt": place}
    return Layout(INSTRUCT, words, read | _as_text(records, found, reader), template)


def _plain(records: Sequence[Record], field: str, reader: Mapping[str, Any]) -> Layout:
    read = {**reader, "columns": {"output": field}}
    more = _as_text(records, {"output": field}, reader)
    return Layout(COMPLETION, f"plain text in `{field}`", read | more, {"use": "text"})


def _as_text(
    records: Sequence[Record], columns: Mapping[str, str], reader: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the parameter that takes numbers as text, where a column has some."""
    if reader["use"] == "csv":
        return {}
    numbers = [
        ours
        for ours, theirs in columns.items()
        if any(isinstance(record.get(theirs), bool | int | float) for record in records)
    ]
    return {"as_text": numbers} if numbers else {}


def _parted(records: Sequence[Record], question: str, answer: str) -> bool:
    """Return whether white space already stands between questions and answers."""
    pairs = [(str(record.get(question)), str(record.get(answer))) for record in records]
    return all(asked[-1:].isspace() or said[:1].isspace() for asked, said in pairs)


def _each(records: Sequence[Record], name: str, fits: Callable[[Any], bool]) -> bool:
    """Return whether some record has a value in a field, and nine of ten values are of a kind."""
    values = [record[name] for record in records if record.get(name) is not None]
    return bool(values) and sum(map(fits, values)) >= 0.9 * len(values)


def _is_text(value: Any) -> bool:
    return isinstance(value, str | bool | int | float)


def are_turns(value: Any) -> bool:
    """Return whether a value is a list of turns with speakers and texts."""
    return isinstance(value, list) and bool(value) and all(map(_is_turn, value))


def _is_turn(value: Any) -> bool:
    return isinstance(value, dict) and any(
        speaker in value and (text in value or "tool_calls" in value) for speaker, text in SPOKEN
    )
