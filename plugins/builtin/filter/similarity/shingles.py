"""Shingles: the set of runs of words of each text, as 32-bit hashes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .sets import HALF, LOW, Sets, bounds_of, sorted_once
from .word_hashes import words


def shingle_sets(texts: Sequence[str], length: int) -> Sets:
    """Return the set of word runs of each text.

    A text with fewer words is one run; a text without words is the empty set.
    """
    found = words(texts)
    counts = found.count
    short = {int(n) for n in np.unique(counts[(counts > 0) & (counts < length)])}
    grams = found.grams({length, *short})
    owner = np.repeat(np.arange(len(counts)), np.maximum(counts - (length - 1), 0))
    owners, hashes = [owner], [grams[length][found.starts(length)]]
    for size in sorted(short):
        rows = np.flatnonzero(counts == size)
        owners.append(rows)
        hashes.append(grams[size][found.bounds[rows]])
    keys = np.concatenate(owners).astype(np.uint64) << HALF
    keys |= np.concatenate(hashes) >> HALF
    keys = sorted_once(keys)
    sizes = np.bincount((keys >> HALF).astype(np.int64), minlength=len(counts))
    return Sets((keys & LOW).astype(np.uint32), bounds_of(sizes))
