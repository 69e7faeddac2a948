"""Index n-grams of benchmarks, and find them in other texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa

from .word_hashes import Hashes, Numbers, words

Hit = tuple[str, str, str]
"""A benchmark, the id of its row, and the words."""


class RunIndex:
    """Every run of so many words in some benchmarks, and shorter texts whole."""

    def __init__(
        self,
        benchmarks: Mapping[str, pa.Table],
        fields: Sequence[str],
        length: int,
        shortest: int,
    ) -> None:
        self._places: list[tuple[str, str]] = []
        found: dict[int, list[tuple[Hashes, Numbers]]] = {}
        for name, table in sorted(benchmarks.items()):
            first = len(self._places)
            self._places += [(name, row) for row in table.column("id").to_pylist()]
            for field in fields:
                self._note(found, table.column(field).to_pylist(), first, length, shortest)
        self._runs = {size: _first_of_each(parts) for size, parts in sorted(found.items())}

    @staticmethod
    def _note(
        found: dict[int, list[tuple[Hashes, Numbers]]],
        texts: Sequence[str],
        first: int,
        length: int,
        shortest: int,
    ) -> None:
        """Add the runs of some texts; `first` is the place of the first text."""
        text_words = words(texts)
        counts = text_words.count
        short = np.unique(counts[(counts >= shortest) & (counts < length)]).tolist()
        grams = text_words.grams({length, *short})
        starts = text_words.starts(length)
        owners = np.repeat(np.arange(len(counts)), np.maximum(counts - (length - 1), 0))
        found.setdefault(length, []).append((grams[length][starts], owners + first))
        for size in short:
            rows = np.flatnonzero(counts == size)
            starts = text_words.bounds[rows]
            found.setdefault(size, []).append((grams[size][starts], rows + first))

    def hits(self, texts: Sequence[str]) -> dict[int, Hit]:
        """Return, for each text that has a run of a benchmark, the first of the longest ones."""
        text_words = words(texts)
        grams = text_words.grams(self._runs)
        hits: dict[int, Hit] = {}
        for size, (hashes, owners) in reversed(self._runs.items()):
            starts = text_words.starts(size)
            if not len(hashes) or not len(starts):
                continue
            mine = grams[size][starts]
            places = np.minimum(np.searchsorted(hashes, mine), len(hashes) - 1)
            for hit in np.flatnonzero(hashes[places] == mine).tolist():
                start = int(starts[hit])
                row = int(np.searchsorted(text_words.bounds, start, side="right")) - 1
                if row not in hits:
                    place = self._places[int(owners[places[hit]])]
                    hits[row] = (*place, text_words.phrase(start, size))
        return hits


def _first_of_each(parts: Sequence[tuple[Hashes, Numbers]]) -> tuple[Hashes, Numbers]:
    """Return each run once, ascending, with the first row that has it."""
    hashes = np.concatenate([part[0] for part in parts])
    owners = np.concatenate([part[1] for part in parts])
    order = np.lexsort((owners, hashes))
    hashes, owners = hashes[order], owners[order]
    first = np.append(True, hashes[1:] != hashes[:-1]) if len(hashes) else np.zeros(0, np.bool_)
    return hashes[first], owners[first]
