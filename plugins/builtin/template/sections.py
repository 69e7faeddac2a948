"""Templates that write a row in named sections of plain text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import Field

from khichdi.plugins import Row, Segment, Template

from .turns import TemplateParams, plain_messages, trained_turns

WITH_INPUT = (
    "Below is an instruction that describes a task, paired with an input that provides further "
    "context. Write a response that appropriately completes the request.\n\n"
)
WITHOUT_INPUT = (
    "Below is an instruction that describes a task. Write a response that appropriately "
    "completes the request.\n\n"
)


class AlpacaTemplateParams(TemplateParams):
    """How the sections begin."""

    preamble: bool = Field(
        False,
        description="Start with the sentence that Alpaca was trained with ('Below is an "
        "instruction that describes a task. ...').",
    )


class AlpacaTemplate(Template[AlpacaTemplateParams]):
    """Write `### Instruction:`, `### Input:` (when there is one) and `### Response:`."""

    name = "alpaca"
    version = 2  # 2: tokenized whole

    def segments(self, row: Row, tokenizer: Any) -> list[Segment]:
        """Return the sections; with several turns, Instruction and Response come again."""
        has_input = bool(row["input"]) and not row.get("turns")
        preamble = (WITH_INPUT if has_input else WITHOUT_INPUT) if self.params.preamble else ""
        messages = plain_messages(row)
        if has_input:
            question = f"{row['instruction']}\n\n### Input:\n{row['input']}"
            messages[0]["content"] = question
        headings = Headings("### Instruction:\n", "\n\n### Response:\n")
        return headings.segments(messages, self.params.learn, preamble)


class QuestionAnswerParams(TemplateParams):
    """What the loss counts."""


class QuestionAnswer(Template[QuestionAnswerParams]):
    """Write `Question: ...` and `Answer: ...` on lines of their own."""

    name = "question-answer"
    version = 2  # 2: tokenized whole; the space after `Answer:` begins the answer

    def segments(self, row: Row, tokenizer: Any) -> list[Segment]:
        """Return the lines; with several turns, there is an empty line between two questions."""
        headings = Headings("Question: ", "\nAnswer:", " ")
        return headings.segments(plain_messages(row), self.params.learn)


@dataclass(frozen=True)
class Headings:
    """The text before a question, before an answer, and what begins the answer itself."""

    question: str
    answer: str
    begin: str = ""

    def segments(
        self, messages: list[dict[str, Any]], learn: str, prompt: str = ""
    ) -> list[Segment]:
        """Return messages as prompt and answer pieces, with an empty line after each answer.

        A system turn stands under no heading, an empty line after it.
        """
        counted = trained_turns(messages, learn)
        pieces: list[Segment] = []
        for number, message in enumerate(messages):
            text = message["content"]
            if message["role"] == "assistant":
                pieces.append(Segment(prompt + self.answer, learn=learn == "all"))
                pieces.append(Segment(self.begin + text, learn=number in counted))
                prompt = "\n\n"
            elif message["role"] == "system":
                prompt += f"{text}\n\n"
            else:
                prompt += self.question + text
        return pieces
