"""Chat templates of installed packages: the tokens of `apply_chat_template`, and the right mask."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
from chat_templates import installed, tokenizer_for

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
OWN = {
    "own/inst": (
        "{{ bos_token }}{% for m in messages %}{% if m.role == 'user' %}[INST] {{ m.content }} "
        "[/INST]{% elif m.role == 'assistant' %} {{ m.content }}{{ eos_token }}{% else %}"
        "{{ raise_exception('no ' + m.role) }}{% endif %}{% endfor %}"
    ),
    "own/plain": (
        "{% for m in messages %}{{ m.role }}: {{ m.content }}\n\n{% endfor %}"
        "{% if add_generation_prompt %}assistant: {% endif %}"
    ),
    "own/dated": (
        "{{ strftime_now('%d %b %Y') }}{% for m in messages %}<|{{ m.role }}|>{{ m.content }}"
        "<|end|>{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}"
    ),
    "own/skips": (
        "{% for m in messages if m.role in ('user', 'assistant') %}<|{{ m.role }}|>"
        "{{ m.content }}<|end|>{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}"
    ),
}
TEMPLATES = {**dict(installed()), **OWN}


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


@pytest.fixture(autouse=True)
def the_day(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tell transformers' own rendering the day that the recipe names."""
    from datetime import datetime

    from transformers.utils import chat_template_utils

    class Fixed(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:
            return datetime.fromisoformat(DATE)

    monkeypatch.setattr(chat_template_utils, "datetime", Fixed)


def compare(name: str, messages: list[dict[str, Any]], tools: list[Any] | None) -> str:
    """Return `equal` or why the chat is refused; anything else is an assertion."""
    source = TEMPLATES[name]
    tokenizer = tokenizer_for(source)
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
    if "endgeneration" in source:
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


OUTCOMES: dict[str, dict[str, str]] = {}


@pytest.mark.parametrize("name", TEMPLATES)
def test_tokens_and_mask_are_those_of_transformers(name: str) -> None:
    """Each case is equal, or refused with a reason; nothing else."""
    for case, (messages, tools) in CASES.items():
        OUTCOMES.setdefault(name, {})[case] = compare(name, messages, tools)


def test_at_least_thirty_templates_were_equal() -> None:
    """Print the table of templates and cases, and count."""
    for name, outcomes in OUTCOMES.items():
        print(name, *(f"  {case}: {outcome}" for case, outcome in outcomes.items()), sep="\n")
    if not any(name.startswith("trl/") for name in OUTCOMES):
        pytest.skip("neither trl nor axolotl is installed: no chat templates to compare with")
    equal = [name for name, found in OUTCOMES.items() if found["multi"].startswith("equal")]
    assert len(equal) >= 30, equal
    assert OUTCOMES["own/skips"]["system"] == "the chat template leaves out turn 0, by `system`"
