"""Confidence intervals of differences between two models on the same rows.

The rows are drawn again with replacement, each with both of its scores: what makes a row hard for
both models is no difference between them. The generator is seeded, so the same scores give the same
interval.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence

from ..schema.errors import WorkError

CONFIDENCE = 0.95
RESAMPLES = 9999
SEED = 57
BATCH = 2**22
"""Values that are held at once; the batch size changes memory, and no result."""


def paired_interval(
    before: Sequence[float],
    after: Sequence[float],
    confidence: float = CONFIDENCE,
    resamples: int = RESAMPLES,
) -> tuple[float, float] | None:
    """Return the bias-corrected and accelerated bootstrap interval of mean(after) - mean(before).

    None for fewer than two rows. Where every row differs by the same amount, both ends are that
    amount, and where the correction is not defined, the interval is of percentiles.

    Args:
        before: a score of each row by one model.
        after: the score of the same row, at the same place, by the other.
        confidence: between 0 and 1.
        resamples: how often the rows are drawn.

    Raises:
        WorkError: scipy is not installed.
    """
    try:
        import numpy as np
        from scipy.stats import bootstrap
    except ModuleNotFoundError as error:
        raise WorkError(
            f"confidence intervals need the package `{error.name}`, which is not installed",
            hint="pip install 'khichdi[train]'",
        ) from None
    differences = np.asarray(after, dtype=float) - np.asarray(before, dtype=float)
    if len(differences) < 2:
        return None
    if np.ptp(differences) == 0:
        return float(differences[0]), float(differences[0])
    for method in ("BCa", "percentile"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a correction that is not defined
            found = bootstrap(
                (differences,),
                np.mean,
                n_resamples=resamples,
                confidence_level=confidence,
                method=method,
                batch=max(1, BATCH // len(differences)),
                rng=np.random.default_rng(SEED),
            ).confidence_interval
        low, high = float(found.low), float(found.high)
        if np.isfinite([low, high]).all():
            break
    return low, high
