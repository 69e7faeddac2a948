"""Hash words and n-grams to 64 bits, many texts at a time.

Everything is integer arithmetic modulo 2**64 with the constants below, on code points and never on
Python's `hash`: the same numbers on every machine and version.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa

from ..base.scripts import UNSPACED

Hashes = np.ndarray[Any, np.dtype[np.uint64]]
Numbers = np.ndarray[Any, np.dtype[np.int64]]
Points = np.ndarray[Any, np.dtype[np.uint32]]

PLACE = np.uint64(0x9E3779B97F4A7C15)
STEP = np.uint64(0xD6E8FEB86659FD93)

# What stands between words: white space, controls, punctuation and symbols of ASCII and Latin-1,
# general punctuation, currency, arrows to dingbats, CJK and full-width punctuation, emoji. These
# are blocks, so that the table does not move with the version of Unicode that Python knows.
BETWEEN = (
    (0x00, 0x30), (0x3A, 0x41), (0x5B, 0x61), (0x7B, 0xAA), (0xAB, 0xB5), (0xB6, 0xBA),
    (0xBB, 0xC0), (0xD7, 0xD8), (0xF7, 0xF8), (0x1680, 0x1681), (0x2000, 0x2070),
    (0x20A0, 0x20D0), (0x2190, 0x2800), (0x2E00, 0x2E80), (0x3000, 0x3005), (0x3008, 0x3021),
    (0xFE10, 0xFE20), (0xFE30, 0xFE70), (0xFF00, 0xFF10), (0xFF1A, 0xFF21), (0xFF3B, 0xFF41),
    (0xFF5B, 0xFF66), (0x1F000, 0x1FB00),
)  # fmt: skip


ALONE = 2
"""The kind of a character that is a word by itself."""


@cache
def _kinds() -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Return, for each code point, 0 between words, 1 in a word, and `ALONE`."""
    table = np.ones(0x110000, np.uint8)
    for start, end in BETWEEN:
        table[start:end] = 0
    for start, end in UNSPACED:
        table[start:end] = ALONE
    return table


def mixed(values: Hashes) -> Hashes:
    """Mix the bits of each number, in place (the finalizer of splitmix64)."""
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        values ^= values >> np.uint64(shift)
        values *= np.uint64(factor)
    values ^= values >> np.uint64(31)
    return values


@dataclass(frozen=True)
class Words:
    """The words of some texts, lower-cased, without punctuation.

    Attributes:
        text: the texts, lower-cased, one after another with a separator each.
        hashes: of each word.
        begins, ends: where each word lies in `text`.
        bounds: of text i, the words `bounds[i]` to `bounds[i + 1]`.
    """

    text: str
    hashes: Hashes
    begins: Numbers
    ends: Numbers
    bounds: Numbers

    @property
    def count(self) -> Numbers:
        """How many words each text has."""
        return np.diff(self.bounds)

    def phrase(self, word: int, length: int) -> str:
        """Return `length` words from this one on, as they are compared."""
        places = range(word, word + length)
        return " ".join(self.text[self.begins[n] : self.ends[n]] for n in places)

    def grams(self, lengths: Iterable[int]) -> dict[int, Hashes]:
        """Return, by length, the hash of the run of so many words that starts at each word.

        Runs that would go beyond the end of their text are there too: see `starts`.
        """
        found = {}
        wanted = set(lengths)
        state = np.zeros(len(self.hashes), np.uint64)
        for length in range(1, max(wanted) + 1):
            reach = max(0, len(state) - length + 1)
            state[:reach] *= STEP
            state[:reach] ^= self.hashes[length - 1 :]
            mixed(state[:reach])
            if length in wanted:
                found[length] = state.copy()
        return found

    def starts(self, length: int) -> Numbers:
        """Return the words that a whole run of this length starts at, in order."""
        room = np.maximum(self.count - (length - 1), 0)
        return spread(self.bounds[:-1], room)


def spread(firsts: Numbers, counts: Numbers) -> Numbers:
    """Return `first, first + 1, ...`, so many of each, one after another."""
    ends = np.cumsum(counts)
    total = int(ends[-1]) if len(ends) else 0
    found: Numbers = np.arange(total) + np.repeat(firsts - (ends - counts), counts)
    return found


def words(texts: Sequence[str]) -> Words:
    """Split texts into words: runs of characters that are neither white space nor punctuation.

    In scripts without spaces each character is a word.
    """
    lowered = [text.lower() for text in texts]
    sizes = np.fromiter(map(len, lowered), np.int64, len(lowered)) + 1
    # A separator at both ends, so that every word has a character before and after it.
    whole = "\n".join(["", *lowered, ""])
    points = np.frombuffer(whole.encode("utf-32-le"), "<u4")
    kind = _kinds()[points]
    inside, alone = kind > 0, kind == ALONE
    # A word begins or ends where white space or punctuation does, and around each character of a
    # script without spaces.
    edge = (kind[1:] != kind[:-1]) | alone[1:]
    begins = np.flatnonzero(edge & inside[1:]) + 1
    ends = np.flatnonzero((edge | alone[:-1]) & inside[:-1]) + 1
    bounds = np.searchsorted(begins, np.concatenate([[0], np.cumsum(sizes)]))
    return Words(whole, _hash_words(points, begins, ends), begins, ends, bounds)


def _hash_words(points: Points, begins: Numbers, ends: Numbers) -> Hashes:
    """Return a hash of each word: the sum of what its characters are at their places, mixed."""
    if not len(begins):
        return np.zeros(0, np.uint64)
    # Places count on through the text and start again at each word: a sum that is set back.
    steps = np.full(len(points), PLACE)
    steps[begins] -= PLACE * np.diff(begins, prepend=0).astype(np.uint64)
    state = np.cumsum(steps, out=steps)
    state += points
    sums = np.cumsum(mixed(state), out=state)
    return mixed(sums[ends - 1] - sums[begins - 1])


def field_texts(batch: pa.RecordBatch, fields: Sequence[str]) -> list[str]:
    """Return, for each row, the texts of these fields together."""
    columns = [batch.column(name).to_pylist() for name in fields]
    if len(columns) == 1:
        return list(columns[0])
    return ["\n".join(texts) for texts in zip(*columns, strict=True)]
