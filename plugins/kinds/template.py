"""The kind that renders a row as text."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..base import P, Plugin
from .breach import Breach

Row = Mapping[str, Any]
"""A row as plain Python values, with the columns of `khichdi.schema.rows`."""


@dataclass(frozen=True)
class Segment:
    """A piece of a rendered row; `learn` is whether the loss counts its tokens."""

    text: str
    learn: bool


@dataclass(frozen=True)
class Rendering:
    """One text to tokenize, whole, and the character spans whose tokens the loss counts.

    Attributes:
        text: the text, with all markers.
        spans: start and end of each span, in order.
        complete: whether the text has its own beginning-of-sequence token, or wants none; else
            the tokenizer's is put before it where the tokenizer does so by itself.
    """

    text: str
    spans: tuple[tuple[int, int], ...] = ()
    complete: bool = False

    @classmethod
    def of(cls, segments: Sequence[Segment], eos: str | None) -> Rendering:
        """Join segments, with the end-of-sequence token after each that is learned.

        It is not doubled where the segment ends with it.
        """
        if not isinstance(segments, list) or not all(isinstance(s, Segment) for s in segments):
            found = type(segments).__name__
            raise TypeError(f"gave {found}; a list of Segments was expected")
        text = ""
        spans = []
        for segment in segments:
            start = len(text)
            text += segment.text
            if segment.learn:
                if eos and not segment.text.endswith(eos):
                    text += eos
                spans.append((start, len(text)))
        return cls(text, tuple(spans))

    def segments(self) -> list[Segment]:
        """Return the text in pieces, those in a span and those between."""
        pieces, done = [], 0
        for start, end in self.spans:
            pieces.append(Segment(self.text[done:start], learn=False))
            pieces.append(Segment(self.text[start:end], learn=True))
            done = end
        pieces.append(Segment(self.text[done:], learn=False))
        return [piece for piece in pieces if piece.text]


@dataclass(frozen=True)
class BaseChat:
    """What the small files of a base say about chats.

    Attributes:
        templates: its chat templates by name, `default` among them.
        tokens: its special tokens by name, such as `eos_token`.
        markers: the texts of all tokens that were added to its vocabulary.
    """

    templates: Mapping[str, str] = field(default_factory=dict)
    tokens: Mapping[str, str] = field(default_factory=dict)
    markers: frozenset[str] = frozenset()


@dataclass(frozen=True)
class ChatSupport:
    """How a template writes chats over a base, before any row is rendered.

    Attributes:
        history: `as-written`, where a chat is one sample; `per-answer`, where each of its answers
            makes one; empty where that is not known.
        reason: why.
        breaches: what rules the template out.
    """

    history: str = ""
    reason: str = ""
    breaches: tuple[Breach, ...] = ()


class Template(Plugin[P], ABC):
    """Renders a row as text; the text is tokenized once, whole."""

    kind = "template"

    @abstractmethod
    def segments(self, row: Row, tokenizer: Any) -> list[Segment]:
        """Return the pieces of the row in order, the answer (`learn=True`) last.

        Put the white space between prompt and answer where the tokenizer attaches it: most
        tokenizers make ` Rome` one token, so it begins the answer and does not end the prompt.
        An end-of-sequence token follows each piece that is learned.
        Raises `StepError`, or `RowError` for a row that can be dropped.
        """

    def renderings(self, row: Row, tokenizer: Any) -> list[Rendering]:
        """Return the samples that a row makes: one, of its segments."""
        return [Rendering.of(self.segments(row, tokenizer), tokenizer.eos_token)]

    def prompt(self, row: Row, tokenizer: Any) -> Rendering:
        """Return the text before the last answer, to generate from."""
        segments = self.segments(row, tokenizer)
        answers = [number for number, segment in enumerate(segments) if segment.learn]
        before = segments[: answers[-1]] if answers else segments
        return Rendering(Rendering.of(before, tokenizer.eos_token).text)

    def chat_template(self, tokenizer: Any) -> str | None:
        """Return a Jinja chat template by which other tools render chats as this template does.

        It is written beside the trained adapter and into exported models. None, as here, leaves
        the tokenizer's own there.
        """
        return None

    def chat_support(self, base: BaseChat) -> ChatSupport | None:
        """Return how chats are written over a base; None, as here, where nothing depends on it.

        It is shown by `recipe plan`, and its breaches end a run before weights are fetched.
        """
        return None
