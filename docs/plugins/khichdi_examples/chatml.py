"""The template `chatml`."""

from __future__ import annotations

from typing import Any

from khichdi.plugins import Params, Row, Segment, StepError, Template, hookimpl
from pydantic import Field

START, END = "<|im_start|>", "<|im_end|>"


class ChatmlParams(Params):
    """System message."""

    system: str | None = Field(
        "You are a helpful assistant.",
        min_length=1,
        description="System message for rows without one of their own; `null`: none.",
    )


class Chatml(Template[ChatmlParams]):
    """Write rows in ChatML, whatever template the base brings; every answer is learnt."""

    name = "chatml"

    def segments(self, row: Row, tokenizer: Any) -> list[Segment]:
        """Return what stands before each answer, and each answer with its end marker."""
        turns = self._turns(row)
        pieces: list[Segment] = []
        prompt = ""
        for role, text in turns:
            if role != "assistant":
                prompt += f"{START}{role}\n{text}{END}\n"
                continue
            pieces.append(Segment(f"{prompt}{START}assistant\n", learn=False))
            pieces.append(Segment(f"{text}{END}", learn=True))
            prompt = "\n"
        return pieces

    def _turns(self, row: Row) -> list[tuple[str, str]]:
        """Return who says what, up to the last answer."""
        turns = [(turn["role"], turn["text"]) for turn in row["turns"]]
        if not turns:
            question = "\n\n".join(text for text in (row["instruction"], row["input"]) if text)
            turns = [("user", question), ("assistant", row["output"])]
        while turns and turns[-1][0] != "assistant":
            turns.pop()
        if not turns:
            raise StepError(f"row {row['id']}: its turns have no answer to learn")
        if self.params.system is not None and turns[0][0] != "system":
            turns.insert(0, ("system", self.params.system))
        return turns


@hookimpl
def khichdi_templates() -> list[type[Chatml]]:
    """Return the plugins of this distribution."""
    return [Chatml]
