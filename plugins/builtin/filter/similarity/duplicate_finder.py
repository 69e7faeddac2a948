"""Find the kept earlier row that a row duplicates, block by block, in row order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from .first_of_kind import Repeat
from .growing import Grown
from .set_join import (
    BITS,
    Block,
    Frequencies,
    Index,
    Joined,
    Pairs,
    SeenIndex,
    block_of,
    candidates,
)
from .sets import Sets, jaccard
from .shingles import shingle_sets

HITS = 1 << 17  # shared values that are looked at together; more, and a block is halved


@dataclass(frozen=True)
class Sketch:
    """What rows are compared by.

    Of rows with one and the same set of shingles the first speaks for all: `first` has those
    rows, `speaker` says for each row which of them speaks for it (-1: no words). `block` has the
    sets of the rows in `first`.
    """

    ids: Sequence[str]
    first: Sequence[int]
    speaker: Sequence[int]
    block: Block


class DuplicateFinder:
    """Finds rows that repeat an earlier one; where blocks begin does not change what it finds."""

    def __init__(self, words: int, threshold: float) -> None:
        self.words = words
        self.threshold = threshold
        self._frequencies = Frequencies()
        self._kept = _Kept()

    def sample(self, texts: Sequence[str]) -> None:
        """Learn from some rows which shingles are common, so that these are looked up last."""
        self._frequencies.add(shingle_sets(texts, self.words))

    def sketch(self, ids: Sequence[str], texts: Sequence[str]) -> Sketch:
        """Return what rows are compared by; a function of these rows alone, safe in a thread."""
        sets = shingle_sets(texts, self.words)
        first, speaker = _equal_sets(sets)
        block = block_of(sets.take(np.array(first, np.int64)), self.threshold, self._frequencies)
        return Sketch(ids, first, speaker, block)

    def repeats(self, sketch: Sketch) -> list[Repeat | None]:
        """Return, for each row, the first row that stays and is similar enough, or None."""
        names = [sketch.ids[row] for row in sketch.first]
        said = self._settle(sketch.block, names)
        answers: list[Repeat | None] = [None] * len(sketch.ids)
        for row, spoken in enumerate(sketch.speaker):
            if spoken >= 0:
                itself = sketch.first[spoken] == row
                answers[row] = said[spoken] or (None if itself else (names[spoken], 1.0))
        return answers

    def _settle(self, block: Block, names: Sequence[str]) -> list[Repeat | None]:
        """Decide on a block, in halves where its rows share so much that it would take long."""
        kept_hits = self._kept.index.find(block)
        own = Index()
        own.add(block, 0)
        own_hits = own.find(block)
        work = sum(int(hit.counts.sum()) for hit in (*kept_hits, *own_hits))
        if work > HITS and len(block) > 1:
            half = len(block) // 2
            parts = ((0, half), (half, len(block)))
            return [
                answer
                for start, stop in parts
                for answer in self._settle(block.part(start, stop), names[start:stop])
            ]
        said: list[Repeat | None] = [None] * len(block)
        kept = self._kept.joined
        self._hold_against_kept(
            block, candidates(block, kept, kept_hits, self.threshold), kept, said
        )
        mine = Joined(block.sets, block.bitmaps)
        self._hold_among(block, candidates(block, mine, own_hits, self.threshold), names, said)
        staying = np.array([row for row, answer in enumerate(said) if answer is None], np.int64)
        self._kept.add(block.take(staying), [names[row] for row in staying.tolist()])
        return said

    def _hold_against_kept(
        self, block: Block, pairs: Pairs, kept: Joined, said: list[Repeat | None]
    ) -> None:
        rows, others = pairs
        values = jaccard(block.sets, rows, kept.sets, others)
        good = np.flatnonzero(values >= self.threshold)
        for row, other, value in zip(
            rows[good].tolist(), others[good].tolist(), values[good].tolist(), strict=True
        ):
            said[row] = said[row] or (self._kept.names[other], value)

    def _hold_among(
        self, block: Block, pairs: Pairs, names: Sequence[str], said: list[Repeat | None]
    ) -> None:
        """Hold rows of a block against earlier ones of it that stay.

        Each round takes the first pair left of each row. It is compared once it is known that the
        earlier row stays, so one row that stays settles all those like it in one round.
        """
        rows, others = pairs
        dropped = np.array([answer is not None for answer in said], np.bool_)
        left = others < rows
        while True:
            left &= ~(dropped[rows] | dropped[others])
            rows, others = rows[left], others[left]
            if not len(rows):
                return
            undecided = np.zeros(len(block), np.bool_)
            undecided[rows] = True
            first = np.append(True, rows[1:] != rows[:-1])
            ready = np.flatnonzero(first & ~undecided[others])
            values = jaccard(block.sets, rows[ready], block.sets, others[ready])
            good = values >= self.threshold
            for row, other, value in zip(
                rows[ready[good]].tolist(),
                others[ready[good]].tolist(),
                values[good].tolist(),
                strict=True,
            ):
                said[row] = (names[other], value)
                dropped[row] = True
            left = np.ones(len(rows), np.bool_)
            left[ready] = False


class _Kept:
    """The rows that stay."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.index = SeenIndex()
        self._values = Grown(np.empty(0, np.uint32))
        self._bounds = Grown(np.zeros(1, np.int64))
        self._bitmaps = Grown(np.empty((0, BITS // 64), np.uint64))

    @property
    def joined(self) -> Joined:
        return Joined(Sets(self._values.rows, self._bounds.rows), self._bitmaps.rows)

    def add(self, block: Block, names: Sequence[str]) -> None:
        self.index.add(block, len(self.names))
        self._bounds.add(block.sets.bounds[1:] + self._values.size)
        self._values.add(block.sets.values)
        self._bitmaps.add(block.bitmaps)
        self.names.extend(names)


def _equal_sets(sets: Sets) -> tuple[list[int], list[int]]:
    """Return the rows whose set no earlier row has, and for each row its place among those.

    Rows with an empty set have no place: -1.
    """
    places: dict[bytes, int] = {}
    first: list[int] = []
    speaker: list[int] = []
    bounds = sets.bounds.tolist()
    for row, (start, end) in enumerate(pairwise(bounds)):
        if start == end:
            speaker.append(-1)
            continue
        place = places.setdefault(sets.values[start:end].tobytes(), len(first))
        if place == len(first):
            first.append(row)
        speaker.append(place)
    return first, speaker
