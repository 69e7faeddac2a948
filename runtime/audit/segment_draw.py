"""Draw the segments to execute again, and compute the odds of finding a forged one.

The draw is a function of the run's result hash and of the auditor's nonce. The result hash is over
the trace, and so over every state that the training is committed to; the nonce comes later, so
nobody could train some segments honestly and invent the others.
"""

from __future__ import annotations

from math import comb

from ...schema.audit import Odds
from ...schema.digest import digest

CONFIDENCE = 0.95


def drawn(result_hash: str, nonce: str, step: str, segments: int, count: int) -> tuple[int, ...]:
    """Return the numbers, from 1, of `count` segments of a training step, in order.

    Each segment has a digest of all that the draw depends on; those with the smallest are drawn.
    """

    def place(segment: int) -> str:
        about = {"nonce": nonce, "result": result_hash, "segment": segment, "step": step}
        return digest("segment-draw", about)

    return tuple(sorted(sorted(range(1, segments + 1), key=place)[:count]))


def caught(segments: int, count: int, forged: int) -> float:
    """Return the probability that `count` drawn segments have one of the forged ones among them.

    Segments are drawn without putting back: the law is hypergeometric.
    """
    return 1 - comb(segments - forged, count) / comb(segments, count)


def odds(segments: int, count: int) -> tuple[Odds, ...]:
    """Return, for every number of forged segments, the probability that one is found."""
    return tuple(
        Odds(forged=forged, probability=caught(segments, count, forged))
        for forged in range(1, segments + 1)
    )


def surely_caught(segments: int, count: int, confidence: float = CONFIDENCE) -> int:
    """Return how many segments must be forged for one to be found with this probability."""
    return next(one.forged for one in odds(segments, count) if one.probability >= confidence)
