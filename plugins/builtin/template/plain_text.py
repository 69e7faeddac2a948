"""Base of templates of plain text: alternating prompts and answers, and the loss mask."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, TypeVar

from khichdi.plugins import Rendering, Row, Segment, Template

from .turns import TemplateParams, plain_messages, trained_turns

P = TypeVar("P", bound=TemplateParams)


class PlainText(Template[P]):
    """A template that writes a prompt and an answer for each question, and nothing else."""

    @abstractmethod
    def write(self, row: Row, messages: list[dict[str, Any]]) -> list[tuple[str, str]]:
        """Return prompt and answer for each answer among the messages."""

    def segments(self, row: Row, tokenizer: Any) -> list[Segment]:
        """Return prompt and answer in turn, an end-of-sequence token after each answer."""
        messages = plain_messages(row)
        counted = trained_turns(messages, self.params.learn)
        turns = [n for n, message in enumerate(messages) if message["role"] == "assistant"]
        eos = getattr(tokenizer, "eos_token", None) or ""
        pieces = []
        for turn, (prompt, answer) in zip(turns, self.write(row, messages), strict=True):
            written = answer if answer.endswith(eos) else answer + eos
            pieces += [Segment(prompt, learn=False), Segment(written, learn=turn in counted)]
        return pieces

    def renderings(self, row: Row, tokenizer: Any) -> list[Rendering]:
        """Return the text; with `learn: all`, the prompts count as the answers do."""
        segments = self.segments(row, tokenizer)
        if self.params.learn == "all":
            answers = segments[1::2]
            prompts = [
                Segment(prompt.text, learn=answer.learn)
                for prompt, answer in zip(segments[::2], answers, strict=True)
            ]
            segments = [piece for pair in zip(prompts, answers, strict=True) for piece in pair]
        # The end-of-sequence tokens stand in the answers.
        return [Rendering.of(segments, eos=None)]
