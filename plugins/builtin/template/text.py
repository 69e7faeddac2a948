"""Render a row as a prompt that the recipe writes out, and its answer."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, Field

from khichdi.plugins import Row, later
from khichdi.schema.errors import RowError

from ..placeholders import PlaceholderText, check_names, checked
from .plain_text import PlainText
from .turns import TemplateParams

FIELDS = ("instruction", "input", "system", "task")
"""Fields that a prompt can name."""


def _prompt(text: str) -> str:
    check_names(checked(text), FIELDS)
    return text


def _answer(text: str) -> str:
    check_names(checked(text), ("output",))
    return text


class TextParams(TemplateParams):
    """The prompt, and the loss mask."""

    prompt: Annotated[str, AfterValidator(_prompt)] = Field(
        "",
        description="The text before the answer, with `{instruction}`, `{input}`, `{system}` and "
        "`{task}`; `{{` and `}}` stand for braces. Most tokenizers put the space before a word "
        "into the word's token, so end it without one and start `answer` with it.",
    )
    prompt_without_input: Annotated[str, AfterValidator(_prompt)] | None = later(
        None,
        description="The text before the answer in rows without an input; `prompt` if left out.",
    )
    answer: Annotated[str, AfterValidator(_answer)] = Field(
        "{output}", description="The answer, with `{output}`; the end-of-sequence token follows."
    )


class TextTemplate(PlainText[TextParams]):
    """Write a prompt of the recipe's own and the answer; without a prompt, the answer alone."""

    name = "text"
    example = {"prompt": "{instruction}\n{input}\n"}

    def write(self, row: Row, messages: list[dict[str, Any]]) -> list[tuple[str, str]]:
        """Return prompt and answer.

        Raises:
            RowError: the row is a conversation of several questions.
        """
        answers = [message["content"] for message in messages if message["role"] == "assistant"]
        if len(answers) > 1:
            raise RowError(
                f"the row has {len(answers)} answers, and the prompt is written out for one",
                hint="`use: chat` and `use: alpaca` write conversations",
                reason="several-answers",
            )
        system = [message["content"] for message in messages if message["role"] == "system"]
        values = {name: row[name] for name in ("instruction", "input", "task")}
        values["system"] = "\n\n".join(system)
        words, bare = self.params.prompt, self.params.prompt_without_input
        if bare is not None and not row["input"]:
            words = bare
        prompt = PlaceholderText(words).fill(values, strip=False)
        return [
            (prompt, PlaceholderText(self.params.answer).fill({"output": answers[0]}, strip=False))
        ]
