"""Find the kept earlier row that a row duplicates, block by block, in row order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from .first_of_kind import Likeness, Repeat, settle
from .minhash import (
    BandIndex,
    Floats,
    Grown,
    Pairs,
    Sets,
    Values,
    band_keys,
    band_length,
    jaccard,
    pairs_within,
    shingle_sets,
)
from .word_hashes import Numbers


@dataclass(frozen=True)
class Sketch:
    """Sketches that a block of rows is compared by.

    Of rows with one and the same set of shingles the first speaks for all: `first` has those
    rows, `speaker` says for each row of the block which of them speaks for it (-1: no words).
    `sets` and `keys` are of the rows in `first`.
    """

    ids: Sequence[str]
    first: Numbers
    speaker: Sequence[int]
    sets: Sets
    keys: Values


class MinHashFinder:
    """Finds rows that repeat an earlier one; where blocks begin does not change what it finds."""

    def __init__(self, words: int, permutations: int, above: float) -> None:
        self.words = words
        self.permutations = permutations
        self.above = above
        self.length = band_length(permutations, above)
        self._ids: list[str] = []
        self._index = BandIndex(permutations // self.length)
        self._values = Grown(np.empty(0, np.uint32))
        self._bounds = Grown(np.empty(0, np.int64))
        self._bounds.add(np.zeros(1, np.int64))

    def sketch(self, ids: Sequence[str], texts: Sequence[str]) -> Sketch:
        """Return what a block is compared by; a function of the block alone, safe in a thread."""
        sets = shingle_sets(texts, self.words)
        first, speaker = _equal_sets(sets)
        chosen = sets.take(first)
        return Sketch(
            ids, first, speaker, chosen, band_keys(chosen, self.permutations, self.length)
        )

    def repeats(self, block: Sketch) -> list[Repeat | None]:
        """Return, for each row, the first row that stays and is similar enough, or None."""
        sets, keys, first = block.sets, block.keys, block.first.tolist()
        names = [block.ids[row] for row in first]
        kept = Sets(self._values.rows, self._bounds.rows)
        earlier = self._similar(sets, kept, self._index.find(keys))
        among = self._similar(sets, sets, pairs_within(keys))
        said = settle(names, self._ids, earlier, among)
        self._stay(sets, keys, names, said)
        answers: list[Repeat | None] = [None] * len(block.ids)
        for row, spoken in enumerate(block.speaker):
            if spoken >= 0:
                mine = said[spoken]
                answers[row] = mine or (None if first[spoken] == row else (names[spoken], 1.0))
        return answers

    def _similar(self, left: Sets, right: Sets, pairs: Pairs) -> list[Likeness]:
        """Return the pairs that are similar enough, in order, with their similarity."""
        rows, others = pairs
        one, two = left.sizes[rows], right.sizes[others]
        # Sets of very different sizes cannot be: at best one holds the other.
        able = np.minimum(one, two) >= self.above * np.maximum(one, two)
        rows, others = rows[able], others[able]
        values: Floats = jaccard(left, rows, right, others)
        good = values >= self.above
        return list(
            zip(rows[good].tolist(), others[good].tolist(), values[good].tolist(), strict=True)
        )

    def _stay(
        self, sets: Sets, keys: Values, names: Sequence[str], said: list[Repeat | None]
    ) -> None:
        staying = np.array([row for row, answer in enumerate(said) if answer is None], np.int64)
        kept = sets.take(staying)
        self._bounds.add(kept.bounds[1:] + self._values.size)
        self._values.add(kept.values)
        self._index.add(keys[staying])
        self._ids.extend(names[row] for row in staying.tolist())


def _equal_sets(sets: Sets) -> tuple[Numbers, list[int]]:
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
    return np.array(first, np.int64), speaker
