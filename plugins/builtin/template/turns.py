"""Render a row as a chat: a list of turns with a loss mask; shared by templates."""

from __future__ import annotations

from khichdi.plugins import Row
from khichdi.schema.errors import StepError

Turn = tuple[str, str]
"""Who speaks (`system`, `user` or `assistant`), and the text."""


def talk(row: Row) -> list[Turn]:
    """Return the turns of a row, up to the last answer.

    A row without turns is one question (instruction and input, with an empty line between) and
    one answer.

    Raises:
        StepError: nobody answers in the turns.
    """
    turns = [(turn["role"], turn["text"]) for turn in row.get("turns") or ()]
    if not turns:
        question = "\n\n".join(text for text in (row["instruction"], row["input"]) if text)
        return [("user", question), ("assistant", row["output"])]
    while turns and turns[-1][0] != "assistant":
        turns.pop()
    if not turns:
        raise StepError(f"row {row['id']}: its turns have no answer to learn")
    return turns
