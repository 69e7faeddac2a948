"""Suggest the nearest known word: did you mean."""

from __future__ import annotations

from collections.abc import Iterable


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Return the known word that is most likely meant, or None.

    Near is: at most one slip in a word of up to four letters, two up to nine, else three. A slip
    is a letter too many, one too few, a wrong one, or two that changed places. Where none is near,
    the first one that begins with the word, of four letters or more, is meant.
    """
    folded, known = _fold(word), list(known)
    limit = 1 if len(word) <= 4 else 2 if len(word) <= 9 else 3
    best: tuple[int, int, str] | None = None
    for index, other in enumerate(known):
        if abs(len(other) - len(word)) > limit:
            continue
        found = slips(folded, _fold(other))
        # A word of one letter has nothing in common with another: only a doubled one is near.
        if found <= limit and (found < max(len(word), len(other)) or len(word) == 1):
            best = min(best, (found, index, other)) if best else (found, index, other)
    if best:
        return best[2]
    whole = (other for other in known if len(word) >= 4 and _fold(other).startswith(folded))
    return next(whole, None)


def _fold(word: str) -> str:
    return word.lower().replace("-", "_")


def slips(one: str, other: str) -> int:
    """Return how many slips make one word of the other (optimal string alignment)."""
    before: list[int] = []
    row = list(range(len(other) + 1))
    for i, a in enumerate(one, 1):
        before, last, row = row, before, [i]
        for j, b in enumerate(other, 1):
            cost = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (a != b))
            if i > 1 and j > 1 and a == other[j - 2] and one[i - 2] == b:
                cost = min(cost, last[j - 2] + 1)
            row.append(cost)
    return row[-1]


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return the question for the nearest known word, with a space after it, or an empty text."""
    near = nearest(word, known)
    return f"did you mean `{near}`? " if near else ""
