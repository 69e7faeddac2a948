"""Render rows in named sections of plain text."""

from __future__ import annotations

import json
import re
from typing import Any

from pydantic import Field

from khichdi.plugins import Row
from khichdi.plugins.toolkit import bos_of

from .plain_text import PlainText
from .turns import TemplateParams

WITH_INPUT = (
    "Below is an instruction that describes a task, paired with an input that provides further "
    "context. Write a response that appropriately completes the request.\n\n"
)
WITHOUT_INPUT = (
    "Below is an instruction that describes a task. Write a response that appropriately "
    "completes the request.\n\n"
)

ALPACA = ("### Instruction:\n", "\n\n### Response:\n", "")
LINES = ("Question: ", "\nAnswer:", " ")
"""What begins a question and an answer, and what of the answer's beginning is learned."""

JINJA = (
    "BOSPROMPT{% for message in messages %}"
    "{% if message['role'] == 'system' %}{{ message['content'] + '\\n\\n' }}"
    "{% elif message['role'] == 'assistant' %}{{ LEARNED + message['content'] + eos_token }}"
    "{% if not loop.last %}{{ '\\n\\n' }}{% endif %}"
    "{% else %}{{ ASKED + message['content'] }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ ANSWERED }}{% endif %}"
)


class AlpacaTemplateParams(TemplateParams):
    """How the sections begin."""

    preamble: bool = Field(
        False,
        description=(
            "Start with the preamble that Alpaca was trained with ('Below is an instruction that "
            "describes a task. ...')."
        ),
    )


class AlpacaTemplate(PlainText[AlpacaTemplateParams]):
    """Write `### Instruction:`, `### Input:` (when there is one) and `### Response:`."""

    name = "alpaca"
    version = 2  # 2: tokenized whole

    def write(self, row: Row, messages: list[dict[str, Any]]) -> list[tuple[str, str]]:
        """Return the sections; with several turns, Instruction and Response come again."""
        has_input = bool(row["input"]) and not row.get("turns")
        preamble = (WITH_INPUT if has_input else WITHOUT_INPUT) if self.params.preamble else ""
        if has_input:
            messages[0]["content"] = f"{row['instruction']}\n\n### Input:\n{row['input']}"
        return under_headings(messages, *ALPACA, preamble)

    def chat_template(self, tokenizer: Any) -> str | None:
        """Return the sections as Jinja."""
        preamble = WITHOUT_INPUT if self.params.preamble else ""
        return jinja_under_headings(tokenizer, *ALPACA, preamble)


class QuestionAnswerParams(TemplateParams):
    """Tokens that the loss counts."""


class QuestionAnswer(PlainText[QuestionAnswerParams]):
    """Write `Question: ...` and `Answer: ...` on lines of their own."""

    name = "question-answer"
    version = 2  # 2: tokenized whole; the space after `Answer:` begins the answer

    def write(self, row: Row, messages: list[dict[str, Any]]) -> list[tuple[str, str]]:
        """Return the lines; with several turns, there is an empty line between two questions."""
        return under_headings(messages, *LINES)

    def chat_template(self, tokenizer: Any) -> str | None:
        """Return the lines as Jinja."""
        return jinja_under_headings(tokenizer, *LINES)


def under_headings(
    messages: list[dict[str, Any]], question: str, answer: str, begin: str, prompt: str = ""
) -> list[tuple[str, str]]:
    """Return messages as pairs of prompt and answer, with an empty line after each answer.

    `question` and `answer` are the headings, `begin` is between the second and an answer.
    A system turn has no heading, and an empty line after it.
    """
    pairs = []
    for message in messages:
        text = message["content"]
        if message["role"] == "assistant":
            pairs.append((prompt + answer, begin + text))
            prompt = "\n\n"
        elif message["role"] == "system":
            prompt += f"{text}\n\n"
        else:
            prompt += question + text
    return pairs


def jinja_under_headings(
    tokenizer: Any, question: str, answer: str, begin: str, prompt: str = ""
) -> str:
    """Return a chat template that writes messages as `under_headings` does.

    It starts with the beginning-of-sequence token where the tokenizer puts one before a text, as
    tools add none to what a chat template writes.
    """
    bos = "{{ bos_token }}" if bos_of(tokenizer) is not None else ""
    asked, answered = json.dumps(question), json.dumps(answer)
    parts = {"BOS": bos, "PROMPT": prompt, "ASKED": asked, "ANSWERED": answered}
    parts["LEARNED"] = json.dumps(answer + begin)
    return re.sub("|".join(parts), lambda found: parts[found[0]], JINJA)
