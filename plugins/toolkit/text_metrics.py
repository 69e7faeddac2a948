"""Compare an answer with references: exact match, or ROUGE-L."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any, Literal

from ..side_effects import loading

Normalize = Literal["none", "strip", "lower"]
"""Normalizations before an exact match; each includes the one before it."""


def exact_match(answer: str, references: Sequence[str], normalize: Normalize) -> float:
    """Return 1.0 where the answer equals any reference, else 0.0.

    `none` compares texts as they are, `strip` without white space at both ends, `lower` without
    case too.
    """
    return float(any(_normal(answer, normalize) == _normal(text, normalize) for text in references))


def rouge_l(answer: str, references: Sequence[str], *, full_stops: bool = True) -> float:
    """Return the ROUGE-L F measure against the reference that it is best for.

    Texts are compared in lower case and by letters a-z and digits alone, as the rouge-score
    package does: a text in another script has no token, and scores 0.

    Args:
        answer: the model's text.
        references: every acceptable one.
        full_stops: whether full stops part words; else they are taken out first, and `U.S.` is
            the word `us`.
    """
    scorer = _scorer()

    def plain(text: str) -> str:
        return text if full_stops else text.replace(".", "")

    return max(float(scorer.score(plain(t), plain(answer))["rougeL"].fmeasure) for t in references)


@cache
def _scorer() -> Any:
    with loading():  # it imports whatever nltk can work with, such as scikit-learn
        from rouge_score.rouge_scorer import RougeScorer

    return RougeScorer(["rougeL"])


def _normal(text: str, normalize: Normalize) -> str:
    if normalize == "none":
        return text
    stripped = text.strip()
    return stripped.casefold() if normalize == "lower" else stripped
