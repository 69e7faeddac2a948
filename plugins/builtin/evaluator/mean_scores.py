"""The metrics of generated answers that follow from the predictions alone."""

from __future__ import annotations

import math
from typing import Any

SCORES = ("exact_match", "rouge_l")


def mean_scores(predictions: list[dict[str, Any]]) -> dict[str, float]:
    """Return the mean of each score, and the number of rows."""
    count = len(predictions)
    means = {name: math.fsum(one[name] for one in predictions) / count for name in SCORES}
    return means | {"rows": float(count)}
