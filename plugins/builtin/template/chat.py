"""Render rows with the model's own chat template."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from khichdi.plugins import Params, Row, Segment, Template
from khichdi.schema.errors import StepError

from .turns import talk


class ChatParams(Params):
    """System message."""

    system: str | None = Field(
        None,
        min_length=1,
        description="System message for rows without one of their own.",
    )


class Chat(Template[ChatParams]):
    """Render rows with the tokenizer's own chat template."""

    name = "chat"
    requires = ("transformers",)

    def segments(self, row: Row, tokenizer: Any) -> list[Segment]:
        """Return prompts as the template writes them, and answers with their end marker.

        The template writes the talk up to each answer with and without it; what it adds is the
        answer. White space after the end-of-sequence token belongs to the next prompt, so that
        the token ends the piece.

        Raises:
            StepError: the tokenizer has no chat template, the template refuses the talk, or it
                writes earlier turns differently once an answer follows.
        """
        messages = self._messages(row)
        pieces: list[Segment] = []
        done = ""
        for number, message in enumerate(messages):
            if message["role"] != "assistant":
                continue
            prompt = _render(row, tokenizer, messages[:number], prompt=True)
            whole = _render(row, tokenizer, messages[: number + 1], prompt=False)
            if not (prompt.startswith(done) and whole.startswith(prompt)):
                raise StepError(
                    f"row {row['id']}: the chat template changes its text before turn "
                    f"{number}, so prompt and answer cannot be told apart",
                    hint="use a template that does not depend on the model: `use: alpaca`",
                )
            answer = _to_end_marker(whole[len(prompt) :], tokenizer.eos_token)
            pieces.append(Segment(prompt[len(done) :], learn=False))
            pieces.append(Segment(answer, learn=True))
            done = prompt + answer
        return pieces

    def _messages(self, row: Row) -> list[dict[str, str]]:
        messages = [{"role": role, "content": text} for role, text in talk(row)]
        if self.params.system is not None and messages[0]["role"] != "system":
            messages.insert(0, {"role": "system", "content": self.params.system})
        return messages


def _to_end_marker(answer: str, marker: str | None) -> str:
    """Return the answer without white space after the end-of-sequence token."""
    bare = answer.rstrip()
    return bare if marker and bare.endswith(marker) else answer


def _render(row: Row, tokenizer: Any, messages: list[dict[str, str]], *, prompt: bool) -> str:
    if not getattr(tokenizer, "chat_template", None):
        raise StepError(
            "the tokenizer of the base model has no chat template",
            hint="base models often have none: use another template, such as `use: alpaca`, or "
            "the instruction-tuned variant of the model",
        )
    from jinja2 import TemplateError

    try:
        return str(
            tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=prompt)
        )
    except TemplateError as error:
        raise StepError(
            f"row {row['id']}: the chat template refuses the talk: {error}",
            hint="many templates know no system turn, or want user and assistant in turn",
        ) from None
