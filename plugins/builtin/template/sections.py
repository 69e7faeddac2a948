"""Render rows in named sections of plain text."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from khichdi.plugins import Params, Row, Segment, Template

from .turns import Turn, talk

WITH_INPUT = (
    "Below is an instruction that describes a task, paired with an input that provides further "
    "context. Write a response that appropriately completes the request.\n\n"
)
WITHOUT_INPUT = (
    "Below is an instruction that describes a task. Write a response that appropriately "
    "completes the request.\n\n"
)


class AlpacaTemplateParams(Params):
    """Whether the preamble is written."""

    preamble: bool = Field(
        False,
        description=(
            "Start with the preamble that Alpaca was trained with ('Below is an instruction that "
            "describes a task. ...')."
        ),
    )


class AlpacaTemplate(Template[AlpacaTemplateParams]):
    """Render `### Instruction:`, `### Input:` (if there is one) and `### Response:`."""

    name = "alpaca"

    def segments(self, row: Row, tokenizer: Any) -> list[Segment]:
        """Return the sections; with several turns, Instruction and Response come again."""
        has_input = bool(row["input"]) and not row.get("turns")
        preamble = (WITH_INPUT if has_input else WITHOUT_INPUT) if self.params.preamble else ""
        if not has_input:
            return sections(talk(row), "### Instruction:\n", "### Response:\n", "\n\n", preamble)
        question = f"{row['instruction']}\n\n### Input:\n{row['input']}"
        turns = [("user", question), ("assistant", row["output"])]
        return sections(turns, "### Instruction:\n", "### Response:\n", "\n\n", preamble)


class QuestionAnswerParams(Params):
    """Nothing to say."""


class QuestionAnswer(Template[QuestionAnswerParams]):
    """Render `Question: ...` and `Answer: ...` on separate lines."""

    name = "question-answer"

    def segments(self, row: Row, tokenizer: Any) -> list[Segment]:
        """Return the lines; with several turns, there is an empty line between two questions."""
        return sections(talk(row), "Question: ", "Answer: ", "\n")


def sections(
    turns: list[Turn], asked: str, answered: str, between: str, start: str = ""
) -> list[Segment]:
    """Return turns as prompt and answer pieces.

    `between` stands after a question, an empty line after an answer and after a system turn,
    whose text stands under no heading.
    """
    pieces: list[Segment] = []
    prompt = start
    for role, text in turns:
        if role == "assistant":
            pieces += [Segment(prompt + answered, learn=False), Segment(text, learn=True)]
            prompt = "\n\n"
        elif role == "system":
            prompt += f"{text}\n\n"
        else:
            prompt += f"{asked}{text}{between}"
    return pieces
