"""Sets of hashes and the Jaccard similarity of pairs of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from .word_hashes import Hashes, Numbers, spread

Values = np.ndarray[Any, np.dtype[np.uint32]]
Floats = np.ndarray[Any, np.dtype[np.float64]]

CHUNK = 1 << 22  # values that are compared at once: 32 MB
LOW = np.uint64(0xFFFFFFFF)
HALF = np.uint64(32)


@dataclass(frozen=True)
class Sets:
    """Sets of 32-bit numbers: set i is `values[bounds[i]:bounds[i + 1]]`, ascending."""

    values: Values
    bounds: Numbers

    @property
    def sizes(self) -> Numbers:
        """How many values each set has."""
        return np.diff(self.bounds)

    def take(self, rows: Numbers) -> Sets:
        """Return some of the sets."""
        sizes = self.sizes[rows]
        return Sets(self.values[spread(self.bounds[rows], sizes)], bounds_of(sizes))


def bounds_of(sizes: Numbers) -> Numbers:
    """Return where each of several things of these sizes starts, and where the last one ends."""
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes)])


def sorted_once(keys: Hashes) -> Hashes:
    """Return each number once, ascending: `numpy.unique`, which hashes, is ten times slower."""
    keys.sort()
    return keys[np.append(True, keys[1:] != keys[:-1])] if len(keys) else keys


def jaccard(left: Sets, rows: Numbers, right: Sets, others: Numbers) -> Floats:
    """Return the similarity of each pair: values that both have, of those that either has."""
    shared = np.empty(len(rows), np.int64)
    left_sizes, right_sizes = left.sizes[rows], right.sizes[others]
    total = left_sizes + right_sizes
    for part in _parts(total):
        keys = np.concatenate(
            [
                _tagged(left, rows[part], left_sizes[part]),
                _tagged(right, others[part], right_sizes[part]),
            ]
        )
        keys.sort(kind="stable")  # merges two sorted halves, ten times faster than sorting anew
        twice = keys[:-1][keys[1:] == keys[:-1]]
        count = part.stop - part.start
        shared[part] = np.bincount((twice >> HALF).astype(np.int64), minlength=count)
    found: Floats = shared / (total - shared)
    return found


def _tagged(sets: Sets, rows: Numbers, sizes: Numbers) -> Hashes:
    """Return the values of these sets, each with the number of its pair above it."""
    pair = np.repeat(np.arange(len(rows), dtype=np.uint64), sizes) << HALF
    return pair | sets.values[spread(sets.bounds[rows], sizes)]


def _parts(sizes: Numbers) -> Iterator[slice]:
    """Yield slices with about so many values each that they are compared at once."""
    start, ends = 0, np.cumsum(sizes)
    while start < len(sizes):
        before = ends[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, before + CHUNK, side="right")))
        yield slice(start, stop)
        start = stop
