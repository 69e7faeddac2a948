"""MinHash: find texts that may share most shingles, and compute how many they share.

A text is the set of its runs of words (shingles), 32 bits each. The least value of a set under a
permutation is equal for two sets with a chance that is their Jaccard similarity; some of them in a
row make a band, and two texts with one band in common are worth comparing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .word_hashes import STEP, Hashes, Numbers, mixed, spread, words

Values = np.ndarray[Any, np.dtype[np.uint32]]
Floats = np.ndarray[Any, np.dtype[np.float64]]
Pairs = tuple[Numbers, Numbers]

MISSED = 0.01  # of the pairs that are just similar enough, at most so many share no band
CHUNK = 1 << 22  # shingles that are compared at once: 32 MB
LOW = np.uint64(0xFFFFFFFF)
HALF = np.uint64(32)


def band_length(permutations: int, threshold: float) -> int:
    """Return the longest bands that miss at most 1 in 100 pairs with this similarity."""
    for length in range(permutations, 1, -1):
        if (1 - threshold**length) ** (permutations // length) <= MISSED:
            return length
    return 1


@dataclass
class Sets:
    """Sets of shingles: set i is `values[bounds[i]:bounds[i + 1]]`, ascending."""

    values: Values
    bounds: Numbers

    @property
    def sizes(self) -> Numbers:
        """How many shingles each set has."""
        return np.diff(self.bounds)

    def take(self, rows: Numbers) -> Sets:
        """Return some of the sets."""
        sizes = self.sizes[rows]
        return Sets(self.values[spread(self.bounds[rows], sizes)], _bounds(sizes))


def _bounds(sizes: Numbers) -> Numbers:
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes)])


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
    keys = _sorted_once(keys)
    sizes = np.bincount((keys >> HALF).astype(np.int64), minlength=len(counts))
    return Sets((keys & LOW).astype(np.uint32), _bounds(sizes))


def _sorted_once(keys: Hashes) -> Hashes:
    """Return each number once, ascending: `numpy.unique`, which hashes, is ten times slower."""
    keys.sort()
    return keys[np.append(True, keys[1:] != keys[:-1])] if len(keys) else keys


def band_keys(sets: Sets, permutations: int, length: int) -> Values:
    """Return a number for each band of each set, (sets, bands); no set is empty.

    Bands differ in their numbers, so that equal numbers mean the same band.
    """
    order = mixed(np.arange(1, permutations + 1, dtype=np.uint64))
    factors = (order >> HALF).astype(np.uint32) | np.uint32(1)
    starts = sets.bounds[:-1]
    bands = permutations // length
    keys = np.empty((bands, len(starts)), np.uint32)
    permuted = np.empty_like(sets.values)
    for band in range(bands):
        state = np.full(len(starts), band, np.uint64)
        for factor in factors[band * length : (band + 1) * length]:
            np.multiply(sets.values, factor, out=permuted)
            state *= STEP
            state ^= np.minimum.reduceat(permuted, starts)
            mixed(state)
        keys[band] = state >> HALF
    return np.ascontiguousarray(keys.T)


def jaccard(left: Sets, rows: Numbers, right: Sets, others: Numbers) -> Floats:
    """Return the true similarity of each pair: shingles that both have, of those either has."""
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
        keys.sort()
        twice = keys[:-1][keys[1:] == keys[:-1]]
        count = part.stop - part.start
        shared[part] = np.bincount((twice >> HALF).astype(np.int64), minlength=count)
    found: Floats = shared / (total - shared)
    return found


def _tagged(sets: Sets, rows: Numbers, sizes: Numbers) -> Hashes:
    """Return the shingles of these sets, each with the number of its pair above it."""
    pair = np.repeat(np.arange(len(rows), dtype=np.uint64), sizes) << HALF
    return pair | sets.values[spread(sets.bounds[rows], sizes)]


def _parts(sizes: Numbers) -> Iterator[slice]:
    """Yield slices with about so many shingles each that they are compared at once."""
    start, ends = 0, np.cumsum(sizes)
    while start < len(sizes):
        before = ends[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, before + CHUNK, side="right")))
        yield slice(start, stop)
        start = stop


def pairs_within(keys: Values) -> Pairs:
    """Return the pairs of rows, later and earlier, that have a band in common, in that order."""
    count, bands = keys.shape
    row = np.repeat(np.arange(count, dtype=np.uint64), bands)
    both = np.sort((keys.reshape(-1).astype(np.uint64) << HALF) | row)
    place = np.arange(len(both))
    new = np.diff(both >> HALF, prepend=both[:1] ^ LOW << HALF) != 0
    first = np.maximum.accumulate(np.where(new, place, 0))
    rows = (both & LOW).astype(np.int64)
    later, earlier = np.repeat(rows, place - first), rows[spread(first, place - first)]
    return _distinct(later, earlier)


def _distinct(rows: Numbers, others: Numbers) -> Pairs:
    """Return each pair once, in order."""
    found = _sorted_once((rows.astype(np.uint64) << HALF) | others.astype(np.uint64))
    return (found >> HALF).astype(np.int64), (found & LOW).astype(np.int64)


class Grown:
    """Rows of an array that grows at its end."""

    def __init__(self, like: np.ndarray[Any, Any]) -> None:
        self.size = 0
        self._room = np.empty((1024, *like.shape[1:]), like.dtype)

    def add(self, rows: np.ndarray[Any, Any]) -> None:
        """Append rows; room doubles, so that each is copied a few times at most."""
        size = self.size + len(rows)
        if size > len(self._room):
            room = np.empty((max(size, 2 * len(self._room)), *rows.shape[1:]), rows.dtype)
            room[: self.size] = self.rows
            self._room = room
        self._room[self.size : size] = rows
        self.size = size

    @property
    def rows(self) -> np.ndarray[Any, Any]:
        """The rows so far, as a view."""
        return self._room[: self.size]


class BandIndex:
    """Finds earlier rows with a band in common: a table of chains for each band.

    Takes about 12 bytes for each band of each row.
    """

    def __init__(self, bands: int) -> None:
        self._keys = Grown(np.empty((0, bands), np.uint32))
        self._next = Grown(np.empty((0, bands), np.int32))
        self._heads = np.full((bands, 4096), -1, np.int32)

    def add(self, keys: Values) -> None:
        """Append rows; the first row ever is number 0."""
        first = self._keys.size
        self._keys.add(keys)
        self._next.add(np.full(keys.shape, -1, np.int32))
        bands, size = self._heads.shape
        if self._keys.size > size:
            while self._keys.size > size:
                size *= 2
            self._heads = np.full((bands, size), -1, np.int32)
            first = 0
        for start in range(first, self._keys.size, 4096):
            self._chain(start, self._keys.rows[start : start + 4096])

    def _slots(self, keys: Values) -> Numbers:
        bands, size = self._heads.shape
        return (np.arange(bands) * size + (keys & np.uint32(size - 1))).reshape(-1)

    def _chain(self, first: int, keys: Values) -> None:
        """Put rows at the front of the chains of their slots, in order."""
        rows = np.repeat(np.arange(first, first + len(keys), dtype=np.uint64), keys.shape[1])
        both = np.sort((self._slots(keys).astype(np.uint64) << HALF) | rows)
        slots, rows = (both >> HALF).astype(np.int64), (both & LOW).astype(np.int64)
        new = np.diff(slots, prepend=-1) != 0
        heads = self._heads.reshape(-1)
        before = np.where(new, heads[slots], np.roll(rows, 1))
        self._next.rows[rows, slots // self._heads.shape[1]] = before
        last = np.append(new[1:], True)
        heads[slots[last]] = rows[last]

    def find(self, keys: Values) -> Pairs:
        """Return the pairs of one of these and an earlier row, in order."""
        count, bands = keys.shape
        query, band = np.repeat(np.arange(count), bands), np.tile(np.arange(bands), count)
        wanted = keys.reshape(-1)
        row = self._heads.reshape(-1)[self._slots(keys)]
        found: list[Pairs] = []
        while True:
            there = row >= 0
            if not there.any():
                break
            query, band, wanted, row = query[there], band[there], wanted[there], row[there]
            same = self._keys.rows[row, band] == wanted
            found.append((query[same], row[same].astype(np.int64)))
            row = self._next.rows[row, band]
        if not found:
            return np.zeros(0, np.int64), np.zeros(0, np.int64)
        return _distinct(
            np.concatenate([pair[0] for pair in found]), np.concatenate([pair[1] for pair in found])
        )
