"""Put samples of many lengths into packs of one capacity, with little left empty."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby


def pack(lengths: Sequence[int], capacity: int) -> list[list[int]]:
    """Return packs, each a list of positions in `lengths` that fit into `capacity` together.

    Best fit, longest first: a sample goes where it leaves least room. Samples of one length are
    placed in the order of their positions, so the same lengths give the same packs, and another
    order of the lengths gives packs of the same lengths. Packs come in the order in which they
    were opened, positions in the order in which they were placed.

    Takes O(n log capacity) time: the packs with each amount of room left are a stack, and a tree
    of bits finds the smallest room that is large enough.

    Raises:
        ValueError: a sample is longer than the capacity, or has no length.
    """
    for index, length in enumerate(lengths):
        if not 0 < length <= capacity:
            raise ValueError(f"sample {index} has {length} tokens; 1 to {capacity} fit into a pack")
    packs: list[list[int]] = []
    rooms = _Rooms(capacity)
    order = sorted(range(len(lengths)), key=lambda i: (-lengths[i], i))
    for length, group in groupby(order, key=lengths.__getitem__):
        for index in group:
            room = rooms.smallest(length)
            if room is None:
                number, room = len(packs), capacity
                packs.append([])
            else:
                number = rooms.take(room)
            packs[number].append(index)
            if room > length:
                rooms.put(room - length, number)
    return packs


class _Rooms:
    """Packs by the room they have left, 1 to capacity."""

    def __init__(self, capacity: int) -> None:
        self._stacks: list[list[int]] = [[] for _ in range(capacity + 1)]
        self._levels = []
        size = capacity + 1
        while True:
            size = -(-size // 64)
            self._levels.append([0] * size)  # bit i of word w: something below number 64 w + i
            if size == 1:
                break

    def put(self, room: int, pack: int) -> None:
        """Add a pack with this much room."""
        self._stacks[room].append(pack)
        place = room
        for words in self._levels:
            word, bit = place >> 6, place & 63
            if words[word] >> bit & 1:
                return
            words[word] |= 1 << bit
            place = word

    def take(self, room: int) -> int:
        """Remove and return the pack that got this much room last."""
        pack = self._stacks[room].pop()
        if not self._stacks[room]:
            place = room
            for words in self._levels:
                word = place >> 6
                words[word] &= ~(1 << (place & 63))
                if words[word]:
                    break
                place = word
        return pack

    def smallest(self, length: int) -> int | None:
        """Return the smallest room of at least `length` that some pack has, or None."""
        place = length
        for level, words in enumerate(self._levels):
            word, bit = place >> 6, place & 63
            if word >= len(words):
                return None
            left = words[word] >> bit
            if left:
                return self._down(level, place + (left & -left).bit_length() - 1)
            place = word + 1
        return None

    def _down(self, level: int, place: int) -> int:
        """Return the smallest room below a place of a level."""
        for words in reversed(self._levels[:level]):
            word = words[place]
            place = (place << 6) + (word & -word).bit_length() - 1
        return place
