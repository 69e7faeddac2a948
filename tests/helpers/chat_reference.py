"""Chats, and what transformers itself makes of them, beside what the template `chat` does."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from khichdi.plugins.registry import load_registry
from khichdi.plugins.toolkit.tokenization import encode_all
from khichdi.schema.errors import RowError

DATE = "2026-11-26"
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "weather",
            "description": "Tell the weather.",
            "parameters": {
                "type": "object",
                "properties": {"city": {"type": "string", "description": "Where."}},
                "required": ["city"],
            },
        },
    }
]
CALL = {
    "type": "function",
    "id": "abcdef123",
    "function": {"name": "weather", "arguments": {"city": "Rome"}},
}


def said(role: str, content: str, **extra: Any) -> dict[str, Any]:
    return {"role": role, "content": content, **extra}


TALK = [
    said("user", "What is it?"),
    said("assistant", "It is Rome."),
    said("user", "And then?"),
    said("assistant", "Then Oslo."),
]
CASES: dict[str, tuple[list[dict[str, Any]], list[Any] | None]] = {
    "single": (TALK[:2], None),
    "multi": (TALK, None),
    "system": ([said("system", "Be brief."), *TALK], None),
    "tools": (
        [
            said("user", "How is Rome?"),
            said("assistant", "", tool_calls=[CALL]),
            said("tool", "Sunny, 20.", name="weather", tool_call_id="abcdef123"),
            said("assistant", "It is sunny."),
        ],
        TOOLS,
    ),
    "reasoning": (
        [
            TALK[0],
            said("assistant", "It is Rome.", reasoning_content="Think of Italy."),
            TALK[2],
            said("assistant", "Then Oslo.", reasoning_content="Norway now."),
        ],
        None,
    ),
}


def row_of(messages: list[dict[str, Any]], tools: list[Any] | None) -> dict[str, Any]:
    turns = []
    for message in messages:
        extra = {name: message[name] for name in message if name not in ("role", "content")}
        words = json.dumps(extra) if extra else ""
        turns.append({"role": message["role"], "text": message["content"], "extra": words})
    written = json.dumps(tools) if tools else ""
    return {"id": "a#0", "instruction": "", "input": "", "output": "", "turns": turns,
            "tools": written}  # fmt: skip


class Reference:
    """What transformers itself makes of a chat, told the same day."""

    def __init__(self, tokenizer: Any, tools: list[Any] | None) -> None:
        self.tokenizer = tokenizer
        self.tools = tools

    def __call__(self, messages: list[dict[str, Any]], prompt: bool = False) -> list[int]:
        return self.tokenizer.apply_chat_template(  # type: ignore[no-any-return]
            messages, tools=self.tools, add_generation_prompt=prompt, return_dict=False
        )

    def marks(self, messages: list[dict[str, Any]]) -> list[int]:
        found = self.tokenizer.apply_chat_template(
            messages, tools=self.tools, return_dict=True, return_assistant_tokens_mask=True
        )
        return [n for n, yes in enumerate(found["assistant_masks"]) if yes]

    def answer(self, messages: list[dict[str, Any]], turn: int) -> tuple[int, int]:
        """Return where an answer lies among the tokens, counted without any offsets.

        It starts where the generation prompt ends or parts from it, and ends before the white
        space at the end, unless there is nothing but white space behind the text.
        """
        whole, before = self(messages[: turn + 1]), self(messages[:turn], prompt=True)
        texts = [self.tokenizer.decode(ids) for ids in (whole, before)]
        characters = same_start(*texts)
        start = next(
            n for n in range(len(whole)) if len(self.tokenizer.decode(whole[: n + 1])) > characters
        )
        end = len(whole)
        text = messages[turn]["content"]
        if text and self.tokenizer.decode(whole).rstrip().endswith(text):
            return start, end
        while end > start + 1 and not self.tokenizer.decode(whole[end - 1 : end]).strip():
            end -= 1
        return start, end


def same_start(one: Sequence[Any], other: Sequence[Any]) -> int:
    pairs = enumerate(zip(one, other, strict=False))
    return next((n for n, (a, b) in pairs if a != b), min(len(one), len(other)))


def compare(tokenizer: Any, messages: list[dict[str, Any]], tools: list[Any] | None) -> str:
    """Return `equal` or why the chat is refused; anything else is an assertion."""
    template = load_registry().create("template", "chat", {"date": DATE})
    row = row_of(messages, tools)
    try:
        renderings = template.renderings(row, tokenizer)
    except RowError as error:
        return error.message.split(": ", 1)[-1]
    encoded = encode_all(renderings, tokenizer)
    reference = Reference(tokenizer, tools)
    turns = [n for n, message in enumerate(messages) if message["role"] == "assistant"]
    [(prompt, _)] = encode_all([template.prompt(row, tokenizer)], tokenizer)
    assert prompt == reference(messages[:-1], prompt=True)
    if len(encoded) > 1:
        assert [ids for ids, _ in encoded] == [reference(messages[: n + 1]) for n in turns]
        for turn, (_, labels) in zip(turns, encoded, strict=True):
            assert counted(labels) == list(range(*reference.answer(messages, turn)))
        return f"equal, {len(encoded)} samples"
    [(ids, labels)] = encoded
    assert ids == reference(messages)
    if "endgeneration" in tokenizer.chat_template:
        assert counted(labels) == reference.marks(messages)
        return "equal, marks"
    expected: list[int] = []
    for turn in turns:
        start, end = reference.answer(messages, turn)
        kept = same_start(ids, reference(messages[: turn + 1]))
        expected += range(start, min(end, kept))
    assert counted(labels) == expected
    return "equal"


def counted(labels: list[int]) -> list[int]:
    return [n for n, label in enumerate(labels) if label != -100]
