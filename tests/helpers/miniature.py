"""A miniature base model: random weights, and a tokenizer trained on a few lines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from khichdi.plugins.toolkit.tiny_model import tiny_tokenizer, write_tiny_mistral

LINES = [
    "What is the capital of France? Paris.",
    "What is the capital of Italy? Rome.",
    "Give the plural of mouse. mice",
    "Two and two is four, three and three is six.",
    "### Instruction:\nSay yes or no.\n\n### Response:\nyes",
]


def make_tokenizer() -> Any:
    return tiny_tokenizer(LINES)


def make_base(folder: Path, **changes: Any) -> Path:
    """Write a random Mistral with its tokenizer to a folder."""
    return write_tiny_mistral(folder, make_tokenizer(), **changes)
