"""Find sets that share most of their values with another set: an exact similarity join.

Two sets x and y have a Jaccard similarity of at least t when they share at least
t / (1 + t) * (|x| + |y|) values. Three facts make that cheap to decide; none overlooks a pair:

- Prefix filter: put the values of every set in one order, rare ones first. The first value that
  both have lies near the start of both: among the first |x| - t|x| + 1 of either, and among the
  first |x| - 2t / (1 + t) |x| + 1 of the smaller one. An inverted index of these few, rare values
  finds every candidate, whatever boilerplate the sets have in common.
- Size filter: the smaller one has at least t times as many values as the larger one.
- Bitmap filter: hash each set's values to the bits of a bitmap. Each bit that differs stands for
  at least one value that only one of the two has.

Sources: Bayardo, Ma, Srikant (WWW 2007); Xiao et al., PPJoin (WWW 2008); Sandes, Teodoro, Melo,
bitmap filter (Information Systems 2020).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from .sets import HALF, LOW, Sets, Values, sorted_once
from .word_hashes import Hashes, Numbers, spread

Flags = np.ndarray[Any, np.dtype[np.bool_]]
Pairs = tuple[Numbers, Numbers]

BITS = 512
SLOTS = 1 << 22
SEEN = 26  # bits of a value that the index remembers having seen: 64 MB
ROUNDING = 1e-9


class Frequencies:
    """About how many sets have a value, as counted in a sample of them.

    They decide in which order values are looked up, so how long a join takes, never its result.
    """

    def __init__(self) -> None:
        self._counts = np.zeros(SLOTS, np.int64)

    def add(self, sets: Sets) -> None:
        """Count the values of these sets."""
        self._counts += np.bincount(_slots(sets.values), minlength=SLOTS)

    def of(self, values: Values) -> Hashes:
        """Return a count for each value, below `SLOTS`."""
        return np.minimum(self._counts[_slots(values)], SLOTS - 1).astype(np.uint64)


def _slots(values: Values) -> Values:
    return values & np.uint32(SLOTS - 1)


@dataclass(frozen=True)
class Block:
    """Some sets, none of them empty, with the start of each and its bitmap.

    The prefix of a set, rare values first, reaches so far that any similar set has one of them.

    Attributes:
        sets: the sets.
        prefixes: the values of all prefixes, one after another.
        rows: the number of the set that each belongs to.
        short: whether each lies in the part that every similar set of this size or larger meets.
        bitmaps: one for each set, (sets, BITS / 64).
    """

    sets: Sets
    prefixes: Values
    rows: Numbers
    short: Flags
    bitmaps: Hashes

    def __len__(self) -> int:
        return len(self.bitmaps)

    def part(self, start: int, stop: int) -> Block:
        """Return the sets from one number to before another."""
        first, last = np.searchsorted(self.rows, [start, stop])
        bounds = self.sets.bounds[start : stop + 1]
        return Block(
            Sets(self.sets.values[bounds[0] : bounds[-1]], bounds - bounds[0]),
            self.prefixes[first:last],
            self.rows[first:last] - start,
            self.short[first:last],
            self.bitmaps[start:stop],
        )

    def take(self, rows: Numbers) -> Block:
        """Return some of the sets, in order."""
        sets = self.sets.take(rows)
        places = np.full(len(self), -1, np.int64)
        places[rows] = np.arange(len(rows))
        chosen = np.flatnonzero(places[self.rows] >= 0)
        owners = places[self.rows[chosen]]
        return Block(sets, self.prefixes[chosen], owners, self.short[chosen], self.bitmaps[rows])


def block_of(sets: Sets, threshold: float, frequencies: Frequencies) -> Block:
    """Return sets ready to be joined with others that are at least so similar."""
    sizes, starts = sets.sizes, sets.bounds[:-1]
    lengths = _prefix_lengths(sizes, threshold)
    places = spread(starts, lengths)
    rows = np.repeat(np.arange(len(sizes)), lengths)
    short = _prefix_lengths(sizes, 2 * threshold / (1 + threshold))
    return Block(
        sets,
        _rare_first(sets, frequencies)[places],
        rows,
        places - starts[rows] < short[rows],
        _bitmaps(sets),
    )


def _prefix_lengths(sizes: Numbers, share: float) -> Numbers:
    """Return how many values there are until less than this share of the set is left."""
    lengths: Numbers = sizes - np.ceil(share * sizes - ROUNDING).astype(np.int64) + 1
    return lengths


def _rare_first(sets: Sets, frequencies: Frequencies) -> Values:
    """Return the values of each set in the order of how many sets have them."""
    ordered = np.empty_like(sets.values)
    rows = np.repeat(np.arange(len(sets.sizes), dtype=np.uint64), sets.sizes)
    keys = (frequencies.of(sets.values) << HALF) | sets.values
    # 10 bits for the row, 22 for the count, 32 for the value: one sort for many sets.
    for start in range(0, len(sets.sizes), 1024):
        part = slice(sets.bounds[start], sets.bounds[min(start + 1024, len(sets.sizes))])
        numbers = keys[part] | ((rows[part] - np.uint64(start)) << np.uint64(54))
        numbers.sort()
        ordered[part] = numbers & LOW
    return ordered


def _bitmaps(sets: Sets) -> Hashes:
    count = len(sets.sizes)
    bits = np.zeros((count, BITS), np.bool_)
    bits[np.repeat(np.arange(count), sets.sizes), sets.values & np.uint32(BITS - 1)] = True
    return np.packbits(bits, axis=1).view(np.uint64)


@dataclass(frozen=True)
class Hits:
    """Where rows with a value that is looked up lie in a sorted array of postings.

    Row `rows[i]` shares its value with `counts[i]` postings from `starts[i]` on.
    """

    postings: Hashes
    rows: Numbers
    starts: Numbers
    counts: Numbers


class Postings:
    """Which rows have a value: sorted arrays, each at least twice as long as the next one.

    A posting is one number, the value above the row, so that arrays are merged by sorting.
    """

    def __init__(self) -> None:
        self._runs: list[Hashes] = []

    def add(self, values: Values, rows: Numbers) -> None:
        """Note that these rows have these values."""
        run = np.sort((values.astype(np.uint64) << HALF) | rows.astype(np.uint64))
        while self._runs and len(self._runs[-1]) < 2 * len(run):
            run = np.concatenate([self._runs.pop(), run])
            run.sort(kind="stable")  # merges what is sorted already
        self._runs.append(run)

    def find(self, values: Values, rows: Numbers) -> Iterator[Hits]:
        """Look up values of these rows; the values are in order, which makes it faster."""
        least = values.astype(np.uint64) << HALF
        for run in self._runs:
            starts = np.searchsorted(run, least)
            counts = np.searchsorted(run, least | LOW) - starts
            hit = np.flatnonzero(counts)
            yield Hits(run, rows[hit], starts[hit], counts[hit])


class Index:
    """An inverted index of the prefixes of sets; finds those that may be similar to another.

    Takes 8 bytes for each value of a prefix.
    """

    def __init__(self) -> None:
        self._short = Postings()
        self._rest = Postings()

    def add(self, block: Block, first: int) -> None:
        """Append sets; the first of them has this number."""
        rows, short = block.rows + first, block.short
        self._short.add(block.prefixes[short], rows[short])
        self._rest.add(block.prefixes[~short], rows[~short])

    def find(self, block: Block) -> list[Hits]:
        """Return where sets lie that share a value with one of these.

        The smaller one of two similar sets has that value in the short part of its prefix.
        """
        order = np.argsort(block.prefixes)
        values, rows, short = block.prefixes[order], block.rows[order], block.short[order]
        found = [*self._short.find(values, rows), *self._rest.find(values[short], rows[short])]
        return found


class SeenIndex(Index):
    """An index of many sets, which skips the values that none of them has."""

    def __init__(self) -> None:
        super().__init__()
        self._seen = np.zeros(1 << SEEN, np.bool_)

    def add(self, block: Block, first: int) -> None:
        """Append sets; the first of them has this number."""
        super().add(block, first)
        self._seen[self._place(block.prefixes)] = True

    def find(self, block: Block) -> list[Hits]:
        """Return where sets lie that share a value with one of these."""
        known = self._seen[self._place(block.prefixes)]
        return super().find(
            Block(
                block.sets,
                block.prefixes[known],
                block.rows[known],
                block.short[known],
                block.bitmaps,
            )
        )

    @staticmethod
    def _place(values: Values) -> Values:
        return values >> np.uint32(32 - SEEN)


@dataclass(frozen=True)
class Joined:
    """What is needed of the sets on the other side of a join."""

    sets: Sets
    bitmaps: Hashes


def candidates(block: Block, other: Joined, hits: list[Hits], threshold: float) -> Pairs:
    """Return each pair of a set of the block and another that may be similar enough, in order."""
    mine, theirs = block.sets.sizes, other.sets.sizes
    found = [np.zeros(0, np.uint64)]
    for hit in hits:
        rows = np.repeat(hit.rows, hit.counts)
        others = (hit.postings[spread(hit.starts, hit.counts)] & LOW).astype(np.int64)
        one, two = mine[rows], theirs[others]
        able = np.minimum(one, two) >= threshold * np.maximum(one, two) - ROUNDING
        found.append((rows[able].astype(np.uint64) << HALF) | others[able].astype(np.uint64))
    pairs = sorted_once(np.concatenate(found))
    rows, others = (pairs >> HALF).astype(np.int64), (pairs & LOW).astype(np.int64)
    differing = np.bitwise_count(block.bitmaps[rows] ^ other.bitmaps[others]).sum(1, dtype=np.int64)
    total = mine[rows] + theirs[others]
    able = total - differing >= 2 * threshold / (1 + threshold) * total - ROUNDING
    return rows[able], others[able]
