"""Count words: runs of characters that are not white space."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

Bytes = np.ndarray[Any, np.dtype[np.uint8]]
Bools = np.ndarray[Any, np.dtype[np.bool_]]
Numbers = np.ndarray[Any, np.dtype[np.int64]]

PIECE = 1 << 18
"""Bytes that are looked at together: larger arrays get fresh memory each time, which costs more
than the counting."""

# White space as `str.split` sees it: of the bytes from 9 to 32 all but 14 to 27, and these.
WIDE = np.array([0x1680, *range(0x2000, 0x200B), 0x2028, 0x2029, 0x202F, 0x205F, 0x3000])


def count_words(batch: pa.RecordBatch, fields: Sequence[str]) -> Numbers:
    """Return, for each row, the words of these fields together: `len(text.split())` of each."""
    counts = np.zeros(batch.num_rows, np.int64)
    for field in fields:
        counts += _column(batch.column(field))
    return counts


def _column(column: pa.Array) -> Numbers:
    """Count the words of each text at once: a word starts where space ends."""
    column = column.cast(pa.large_string())
    if not len(column):
        return np.zeros(0, np.int64)
    _, offsets, data = column.buffers()
    bounds = np.frombuffer(offsets, np.int64)[column.offset : column.offset + len(column) + 1]
    text = np.frombuffer(data, np.uint8) if data is not None else np.zeros(0, np.uint8)
    counts = np.empty(len(column), np.int64)
    start = 0
    while start < len(column):
        fit = int(np.searchsorted(bounds, bounds[start] + PIECE, side="right")) - 1
        end = min(max(start + 1, fit), len(column))
        first = bounds[start]
        piece = text[first : bounds[end]]
        counts[start:end] = _piece(piece, bounds[start : end + 1] - first)
        start = end
    return counts


def _piece(text: Bytes, bounds: Numbers) -> Numbers:
    """Count the words of the texts that lie between the bounds."""
    if not len(text):
        return np.zeros(len(bounds) - 1, np.int64)
    space = _space(text)
    starts = np.empty(len(text), np.bool_)
    np.greater(space[:-1], space[1:], out=starts[1:])
    begins = bounds[:-1][bounds[1:] > bounds[:-1]]
    starts[begins] = ~space[begins]
    return _counted(starts, bounds)


def _space(text: Bytes) -> Bools:
    """Return which bytes belong to white space, in UTF-8."""
    space: Bools = text - np.uint8(9) <= 23
    controls = text - np.uint8(14) <= 13
    if controls.any():
        space &= ~controls
    if text.max() >= 0x80:
        # Two bytes, C2 85 and C2 A0; then the sequences of three, which start with E1 to E3.
        two = np.flatnonzero(text == 0xC2)
        two = two[np.isin(text[two + 1], (0x85, 0xA0))]
        three = np.flatnonzero(text - np.uint8(0xE1) <= 2)
        high, middle, low = (text[three + place].astype(np.int64) for place in range(3))
        points = (high & 15) << 12 | (middle & 63) << 6 | (low & 63)
        three = three[np.isin(points, WIDE)]
        for places, size in ((two, 2), (three, 3)):
            for place in range(size):
                space[places + place] = True
    return space


def _counted(starts: Bools, bounds: Numbers) -> Numbers:
    """Return how many starts lie between bounds: bits counted 64 at a time, summed up."""
    bits = np.packbits(starts, bitorder="little")
    padded = np.zeros(len(bits) // 8 * 8 + 16, np.uint8)
    padded[: len(bits)] = bits
    groups = padded.view("<u8")
    sums = np.cumsum(np.bitwise_count(groups), dtype=np.int64)
    group, bit = bounds >> 6, (bounds & 63).astype(np.uint64)
    below = groups[group] & ((np.uint64(1) << bit) - np.uint64(1))
    before = sums[group] - np.bitwise_count(groups[group]) + np.bitwise_count(below)
    counts: Numbers = np.diff(before)
    return counts
