"""Turn a row into chat messages, in the form that chat templates take."""

from __future__ import annotations

import json
from typing import Any, Literal

from pydantic import Field

from khichdi.plugins import Params, Row
from khichdi.schema.errors import RowError

PLAIN_ROLES = ("system", "user", "assistant")


class TemplateParams(Params):
    """Parameters that every built-in template has."""

    on_bad_row: Literal["error", "drop"] = Field(
        "error",
        description="What becomes of a row that the template cannot write: `error` ends the run "
        "and names the row; `drop` drops it and counts it.",
    )
    learn: Literal["answers", "last", "all"] = Field(
        "answers",
        description="Which text the loss counts: every answer, the `last` one alone, or `all` of "
        "the text, prompts included.",
    )


def messages_of(row: Row) -> list[dict[str, Any]]:
    """Return the messages of a row, up to the last answer.

    A message has `role`, `content` and the fields that the row's turn carries beside them. A row
    without turns is one question (instruction and input, with an empty line between) and one
    answer.

    Raises:
        RowError: no turn is an answer.
    """
    turns = list(row.get("turns") or ())
    if not turns:
        question = "\n\n".join(text for text in (row["instruction"], row["input"]) if text)
        return [
            {"role": "user", "content": question},
            {"role": "assistant", "content": row["output"]},
        ]
    while turns and turns[-1]["role"] != "assistant":
        turns.pop()
    if not turns:
        raise RowError("its turns have no answer to learn", reason="no-answer")
    return [_message(turn) for turn in turns]


def _message(turn: dict[str, Any]) -> dict[str, Any]:
    """Return a turn as a message; a field that is null there is absent, as in transformers."""
    extra = json.loads(turn.get("extra") or "{}")
    message = {"role": turn["role"], "content": turn["text"], **extra}
    return {name: value for name, value in message.items() if value is not None}


def with_reasoning(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return messages whose `reasoning_content` has its other name too, as transformers does."""
    return [
        {"thinking": message["reasoning_content"], **message}
        if "reasoning_content" in message
        else message
        for message in messages
    ]


def plain_messages(row: Row) -> list[dict[str, Any]]:
    """Return the messages of a row for a template that writes nothing but text.

    Raises:
        RowError: the row carries something else, or a role beside system, user and assistant.
    """
    messages = [{"content": "", **message} for message in messages_of(row)]
    carried = {field for message in messages for field in message}
    carried -= {"role", "content", "train", "tool_call_id"}
    if row.get("tools"):
        carried.add("tools")
    carried |= {f"role {m['role']}" for m in messages} - {f"role {role}" for role in PLAIN_ROLES}
    if carried:
        raise RowError(
            f"the template does not write `{min(carried)}`, which the row carries",
            hint="`use: chat` writes it where the model's chat template does; or leave the field "
            "out with the reader's `ignore`, or set `on_bad_row: drop` under `template`",
            reason=f"no-place-for-{min(carried).replace('_', '-').replace(' ', '-')}",
        )
    return messages


def trained_turns(messages: list[dict[str, Any]], learn: str) -> set[int]:
    """Return the numbers of the answers that the loss counts; takes `train` out of the messages."""
    answers = [number for number, message in enumerate(messages) if message["role"] == "assistant"]
    counted = {number for number in answers if messages[number].get("train", True)}
    for message in messages:
        message.pop("train", None)
    return counted & set(answers[-1:]) if learn == "last" else counted
