"""Try a chat template on two small chats, to know how it writes earlier answers before any row."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from khichdi.plugins import BaseChat, ChatSupport
from khichdi.schema.errors import RowError

from .answers import find_answers, keeps
from .chat_template import ChatTemplate, Message

PLAIN: tuple[dict[str, Any], ...] = (
    {"role": "user", "content": "What is it?"},
    {"role": "assistant", "content": "It is Rome."},
    {"role": "user", "content": "And then?"},
    {"role": "assistant", "content": "Then Oslo."},
)
REASONED: tuple[dict[str, Any], ...] = tuple(
    {**turn, "reasoning_content": "Think.", "thinking": "Think."}
    if turn["role"] == "assistant"
    else turn
    for turn in PLAIN
)


def history_of(template: ChatTemplate, base: BaseChat) -> ChatSupport:
    """Return what `history: auto` comes to for chats of several answers."""
    if template.marked:
        return ChatSupport("as-written", "the template marks what is answered")
    plain, reasoned = (_keeps(template, base, chat) for chat in (PLAIN, REASONED))
    if plain is None:
        return ChatSupport()
    if not plain:
        return ChatSupport("per-answer", "an answer is rewritten once another turn follows")
    reason = "a chat is one sample"
    if reasoned is False:
        reason += ", unless it has reasoning that is left out of earlier answers"
    return ChatSupport("as-written", reason)


def _keeps(template: ChatTemplate, base: BaseChat, chat: Sequence[Message]) -> bool | None:
    """Return whether answers stay as they are; None where the template refuses the chat."""
    render = partial(_render, template)
    try:
        text, _ = render(chat)
        return keeps(text, find_answers(render, chat), base.markers)
    except RowError:
        return None


def _render(template: ChatTemplate, chat: Sequence[Message], *, prompt: bool = False) -> Any:
    return template.render(chat, None, prompt=prompt)
