"""The kind that renders a row as text."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..base import P, Plugin

Row = Mapping[str, Any]
"""A row as plain Python values, with the columns of `khichdi.schema.rows`."""


@dataclass(frozen=True)
class Segment:
    """A piece of a rendered row; `learn` says whether the loss counts its tokens."""

    text: str
    learn: bool


class Template(Plugin[P], ABC):
    """Renders a row as text."""

    kind = "template"

    @abstractmethod
    def segments(self, row: Row, tokenizer: Any) -> list[Segment]:
        """Return the pieces of the row in order; they are tokenised one by one.

        The last is the answer (`learn=True`), so that all before it is the prompt to generate
        from. An end-of-sequence token is put after each piece that is learnt; a template that
        writes its own ends the piece with `tokenizer.eos_token`, which is not doubled.
        """
