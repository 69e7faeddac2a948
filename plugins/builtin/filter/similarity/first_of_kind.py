"""Drop reasons of both near-duplicate filters: the first of similar rows is kept."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from khichdi.plugins import Drop

Repeat = tuple[str, float]
"""The id of the row that stays, and how similar it is."""

Likeness = tuple[int, int, float]
"""A row, an earlier one, and how similar they are."""


def settle(
    ids: Sequence[str],
    kept_ids: Sequence[str],
    earlier: Iterable[Likeness],
    among: Iterable[Likeness],
) -> list[Repeat | None]:
    """Return, for each row of a block, the first row that stays and is like it, or None.

    A row is held against rows that stay, never against rows that went: likeness is not passed on.
    `earlier` pairs rows of the block with rows of `kept_ids`, `among` with rows of the block;
    both in order of the row, then of the earlier one.
    """
    said: list[Repeat | None] = [None] * len(ids)
    for row, other, value in earlier:
        said[row] = said[row] or (kept_ids[other], value)
    for row, other, value in among:
        if said[row] is None and said[other] is None:
            said[row] = (ids[other], value)
    return said


def near_duplicate(found: Repeat | None) -> Drop | None:
    """Return the reason of a row that repeats another."""
    return found and Drop("near-duplicate", f"{found[0]} (similarity {found[1]:.3f})")
