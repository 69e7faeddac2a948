"""Score generated answers by their rows' references, and average the scores."""

from __future__ import annotations

import math
from typing import Any, Literal

from khichdi.plugins.toolkit import exact_match, rouge_l
from khichdi.schema.rows import references_of

SCORES = ("exact_match", "rouge_l")


def mean_scores(predictions: list[dict[str, Any]]) -> dict[str, float]:
    """Return the mean of each score, and the number of rows."""
    count = len(predictions)
    means = {name: math.fsum(one[name] for one in predictions) / count for name in SCORES}
    return means | {"rows": float(count)}


def scored(
    row: dict[str, Any], answer: str, normalize: Literal["none", "strip", "lower"]
) -> dict[str, Any]:
    """Return the prediction for a row, with its scores."""
    references = references_of(row)
    return {
        "id": row["id"],
        "prediction": answer,
        "exact_match": exact_match(answer, references, normalize),
        "rouge_l": rouge_l(answer, references),
    }
