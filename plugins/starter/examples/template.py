"""The template `my-plugin`."""

from __future__ import annotations

from typing import Any

from khichdi.plugins import Params, Row, Segment, Template
from pydantic import Field


class MyPluginParams(Params):
    """Parameters of `my-plugin`; every field has a description."""

    answer: str = Field("A: ", description="Prefix of the answer.")


class MyPlugin(Template[MyPluginParams]):
    """Render the question, and the answer below it."""

    name = "my-plugin"

    def segments(self, row: Row, tokenizer: Any) -> list[Segment]:
        """Return the question, and the answer to learn."""
        asked = f"{row['instruction']} {row['input']}".strip()
        return [Segment(f"{asked}\n{self.params.answer}", False), Segment(row["output"], True)]
