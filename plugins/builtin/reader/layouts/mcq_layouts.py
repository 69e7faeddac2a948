"""Parse the choices of a question and the correct ones, in every layout in use."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from khichdi.plugins.toolkit.patterns import Pattern

from ..records.record import FileRecord, what
from ..records.row_mapper import required_at, text_of

TEXTS = ("text", "texts", "choices", "options")
LABELS = ("label", "labels", "key")
MOST = 26


@dataclass(frozen=True)
class Choices:
    """The choices of one question.

    Attributes:
        texts: their texts.
        labels: the file's name of each, or empty.
        right: positions of those that the file itself marks as right.
    """

    texts: list[str]
    labels: list[str]
    right: list[int]


def choices_of(record: FileRecord, field: str | Sequence[str], strip: Pattern | None) -> Choices:
    """Return the choices at a field, or one at each of several.

    Raises:
        RecordError: there is no such field, or nothing in it that can be a choice.
    """
    if isinstance(field, str):
        found = _layout(record, field, required_at(record, field))
    else:
        values = [required_at(record, path) for path in field]
        texts = [_text(record, path, value) for path, value in zip(field, values, strict=True)]
        found = Choices(texts, [], [])
    if not 2 <= len(found.texts) <= MOST:
        raise record.error(f"2 to {MOST} choices were expected, found {len(found.texts)}")
    if strip is None:
        return found
    texts = [strip.without_prefix(text).strip() for text in found.texts]
    return Choices(texts, found.labels, found.right)


def _layout(record: FileRecord, field: str, value: Any) -> Choices:
    if isinstance(value, dict):
        lists = [value[key] for key in TEXTS if isinstance(value.get(key), list)]
        marks = [value[key] for key in LABELS if isinstance(value.get(key), list)]
        if lists and marks and len(lists[0]) == len(marks[0]):
            return _marked(record, field, lists[0], marks[0])
        if value and all(isinstance(mark, int | float) for mark in value.values()):
            return _marked(record, field, list(value), list(value.values()))
    if isinstance(value, list) and value:
        if not all(isinstance(item, dict) for item in value):
            return Choices([_text(record, field, item) for item in value], [], [])
        text = next((key for key in TEXTS if all(key in item for item in value)), None)
        label = next((key for key in LABELS if all(key in item for item in value)), None)
        if text is not None:
            marks = [item[label] for item in value] if label else []
            return _marked(record, field, [item[text] for item in value], marks)
    raise record.error(
        f"`{field}` holds no choices, found {what(value)}",
        "a list of texts, a list of objects with `text` and `label`, an object with two such "
        "lists, or an object with a number for each choice",
        "wrong-type",
    )


def _marked(record: FileRecord, field: str, texts: list[Any], marks: list[Any]) -> Choices:
    """Return choices with their marks: names, or numbers that mark the correct ones."""
    said = [_text(record, field, text) for text in texts]
    if marks and set(marks) <= {0, 1}:
        return Choices(said, [], [number for number, mark in enumerate(marks) if mark])
    if marks and all(isinstance(mark, float) for mark in marks):
        best = max(marks)
        return Choices(said, [], [number for number, mark in enumerate(marks) if mark == best])
    return Choices(said, [str(mark) for mark in marks], [])


def _text(record: FileRecord, field: str, value: Any) -> str:
    if isinstance(value, bool | int | float):
        return json.dumps(value)
    return text_of(record, f"`{field}`", value)


def right_ones(record: FileRecord, choices: Choices, field: str | None, how: str) -> list[int]:
    """Return the positions of the right choices, one at least.

    Raises:
        RecordError: the answer is missing, names no choice, or may name two different ones.
    """
    if field is None:
        if choices.right:
            return choices.right
        hint = "name the field with the answer: `answer: ...`"
        raise record.error("the choices do not mark the correct one", hint, "no-answer")
    value = required_at(record, field, reason="no-answer")
    readings = _readings(choices, value)
    fitting = {
        name: position
        for name, position in readings.items()
        if position is not None and (name == how or (how == "auto" and name != "number"))
    }
    if "label" in fitting and how == "auto":
        return [fitting["label"]]
    positions = set(fitting.values())
    if len(positions) == 1:
        return [positions.pop()]
    if positions:
        ways = " or ".join(f"`{name}`" for name in fitting)
        hint = f"set how the answer identifies a choice: `answer_is:` {ways}"
        message = f"`{field}` is {value!r}, which names more than one choice"
        raise record.error(message, hint, "ambiguous-answer")
    known = ", ".join(choices.labels or map(repr, choices.texts))[:200]
    message = f"`{field}` is {str(value)[:80]!r}, which names none of {len(choices.texts)} choices"
    raise record.error(message, f"the choices are {known}; see `answer_is`", "unknown-answer")


def shuffled(question: str, texts: Sequence[str]) -> list[int]:
    """Return the old positions of choices in their new order, which their texts alone decide."""

    def digest(position: int) -> bytes:
        return hashlib.sha256(f"{question}\0{texts[position]}".encode()).digest()

    return sorted(range(len(texts)), key=digest)


def _readings(choices: Choices, value: Any) -> dict[str, int | None]:
    """Return which choice an answer is, by each way to read it."""
    text = value.strip() if isinstance(value, str) else json.dumps(value)
    count = len(choices.texts)
    digits = int(text) if re.fullmatch(r"\d{1,3}", text) else None
    letter = ord(text.upper()) - ord("A") if re.fullmatch("[A-Za-z]", text) else None
    return {
        "label": choices.labels.index(text) if text in choices.labels else None,
        "index": digits if digits is not None and digits < count else None,
        # Files that count from 1 must say so: a 1 alone could be either.
        "number": None if digits is None else _within(digits - 1, count),
        "letter": None if letter is None else _within(letter, count),
        "text": choices.texts.index(text) if text in choices.texts else None,
    }


def _within(number: int, count: int) -> int | None:
    return number if 0 <= number < count else None
