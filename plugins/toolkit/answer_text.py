"""The text of an answer while it is generated: what can be shown, and where a stop ends it.

It brings no torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

Finish = Literal["stop", "length"]
"""Why an answer ended: the model or a stop sequence ended it, or the limit of tokens did."""

UNFINISHED = "\ufffd"
"""What a tokenizer decodes the first bytes of a character to."""


@dataclass(frozen=True)
class Sampling:
    """How an answer is generated: greedily at temperature 0, else drawn by the seed.

    Attributes:
        max_new_tokens: tokens of the answer at most.
        temperature: divides the logits; 0 takes the likeliest token.
        top_p: tokens are drawn among the likeliest that together have this probability.
        seed: of the draws.
        stop: texts that end the answer, and are cut off.
        top_k: tokens are drawn among so many of the likeliest; 0 among all.
    """

    max_new_tokens: int
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0
    stop: tuple[str, ...] = ()
    top_k: int = 0


@dataclass(frozen=True)
class Piece:
    """A piece of an answer: its text, the tokens of the answer up to it, and how it ended there."""

    text: str
    tokens: int
    finish: Finish | None = None


@dataclass(frozen=True)
class ScoredToken:
    """A token with its natural log-probability, and the likeliest token at its place with its own.

    The first token of a prompt follows nothing: its log-probabilities are 0.
    """

    text: str
    logprob: float
    top_text: str
    top_logprob: float


class AnswerText:
    """Turns tokens to text that stays: half characters, and what may begin a stop, are withheld.

    Args:
        tokenizer: decodes tokens.
        stops: texts that end the answer.

    Attributes:
        stopped: whether one of the stops has come.
    """

    def __init__(self, tokenizer: Any, stops: tuple[str, ...]) -> None:
        self._tokenizer = tokenizer
        self._stops = tuple(stop for stop in stops if stop)
        self._ids: list[int] = []
        self._text = ""
        self._shown = 0
        self.stopped = False

    def add(self, token: int) -> str:
        """Take the next token, and return the text that can be shown now."""
        self._ids.append(token)
        self._text = self._tokenizer.decode(self._ids, skip_special_tokens=True)
        ends = [at for stop in self._stops if (at := self._text.find(stop)) >= 0]
        if ends:
            self._text, self.stopped = self._text[: min(ends)], True
        elif self._stops:
            # A stop may be a special token, which the text leaves out.
            whole = self._tokenizer.decode(self._ids[-1:])
            self.stopped = any(stop in whole for stop in self._stops)
        return self._show(len(self._text) - (0 if self.stopped else self._withheld()))

    def rest(self) -> str:
        """Return what was withheld: the answer is complete."""
        return self._show(len(self._text))

    def _show(self, end: int) -> str:
        new = self._text[self._shown : end]
        self._shown = max(self._shown, end)
        return new

    def _withheld(self) -> int:
        """Return how many characters at the end may still change, or begin a stop."""
        half = len(self._text) - len(self._text.rstrip(UNFINISHED))
        begun = (
            size
            for stop in self._stops
            for size in range(len(stop) - 1, 0, -1)
            if self._text.endswith(stop[:size])
        )
        return max(half, *begun, 0)
