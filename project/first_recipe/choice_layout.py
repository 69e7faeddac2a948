"""Recognize multiple-choice questions: a question, its choices, and which of them is correct."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

Record = Mapping[str, Any]

QUESTIONS = ("question", "query", "prompt", "stem", "problem", "input")
CHOICES = ("choices", "options", "endings", "mc1_targets", "target_scores")
"""Usual fields of a list of choices."""
NUMBERED = re.compile(r"(?i)^(choice|option|opt|ans|answer|ending)?[_ ]?([0-9]|[a-f])$")
"""Fields of one choice each: `choice0`, `option_b`, `ans1`, `A`."""
ANSWERS = ("answer", "label", "answerkey", "answer_idx", "answer_index", "correct", "gold", "cop")
TEXTS = ("passage", "context", "article")
"""Usual fields of the text that a question is about."""
LETTER = r"\(?[A-Fa-f][).:]\s*"
"""A letter that the file itself puts before a choice."""
FEWEST = 2


def choice_reader(records: Sequence[Record], table: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the reader of multiple-choice questions, as a step, or None for other records.

    `table` is the reader that takes the file's fields as columns.
    """
    named = {str(name).lower(): str(name) for record in records for name in record}
    question = next((named[name] for name in QUESTIONS if name in named), None)
    given = {str(name) for record in records for name in record if record[name] is not None}
    answer = next((named[name] for name in ANSWERS if named.get(name) in given), None)
    choices = _choices(records, named)
    if question is None or choices is None:
        return None
    marked = isinstance(choices, str) and _marks_itself(records, choices)
    if answer is None and not marked:
        return None
    found = {"question": question, "choices": choices, "answer": None if marked else answer}
    usual = {"question": "question", "choices": "choices", "answer": "answer"}
    read: dict[str, Any] = {"use": "multiple-choice"}
    read |= {name: value for name, value in found.items() if value != usual[name]}
    if isinstance(choices, str) and _lettered(records, choices):
        read["strip"] = LETTER
    about = next((named[name] for name in TEXTS if name in named), None)
    if about is not None:
        read["fields"] = {"passage": about}
        read["instruction"] = "{passage}\n\n{question}\n{options}"
    return read | ({"field": table["field"]} if "field" in table else {})


def choice_fields(read: Mapping[str, Any]) -> set[str]:
    """Return the fields of a record that the reader takes."""
    choices = read.get("choices", "choices")
    some = {choices} if isinstance(choices, str) else set(choices)
    about = set(read.get("fields", {}).values())
    return {read.get("question", "question"), read.get("answer", "answer"), *some, *about}


def _choices(records: Sequence[Record], named: Mapping[str, str]) -> str | list[str] | None:
    """Return the field of all choices, or the field of each."""
    for name in CHOICES:
        if name in named and _each_is_list(records, named[name]):
            return named[name]
    groups: dict[str, list[tuple[str, str]]] = {}
    for low, name in named.items():
        if match := NUMBERED.match(low):
            groups.setdefault(match[1] or "", []).append((match[2], name))
    for found in groups.values():
        order = [mark for mark, _ in sorted(found)]
        if len(order) >= FEWEST and order[0] in "01a" and _consecutive(order):
            return [name for _, name in sorted(found)]
    return None


def _consecutive(marks: Sequence[str]) -> bool:
    return [ord(mark) - ord(marks[0]) for mark in marks] == list(range(len(marks)))


def _each_is_list(records: Sequence[Record], name: str) -> bool:
    values = [record[name] for record in records if record.get(name) is not None]
    return bool(values) and all(isinstance(value, list | dict) and value for value in values)


def _marks_itself(records: Sequence[Record], name: str) -> bool:
    """Return whether each choice has a number that says whether it is correct."""
    values = [value for record in records if isinstance(value := record.get(name), dict)]
    return bool(values) and all(
        all(isinstance(mark, int | float) for mark in value.values())
        or set(value.get("labels") or ["?"]) <= {0, 1}
        for value in values
    )


def _lettered(records: Sequence[Record], name: str) -> bool:
    """Return whether the file's choices begin with letters of their own."""
    values = [value for record in records if isinstance(value := record.get(name), list)]
    texts = [text for value in values for text in value]
    return bool(texts) and all(isinstance(t, str) and re.match(LETTER, t) for t in texts)
