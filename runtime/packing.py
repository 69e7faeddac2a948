"""Pack samples of many lengths into packs of one capacity (bin packing, best fit)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np


def pack(lengths: Sequence[int], capacity: int) -> list[list[int]]:
    """Return packs, each a list of positions in `lengths` that fit into `capacity` together.

    Best fit, longest first: a sample goes where it leaves least room. Samples of one length are
    placed in the order of their positions, so the same lengths give the same packs, and another
    order of the lengths gives packs of the same lengths. Packs come in the order in which they
    were opened, positions in the order in which they were placed.

    Samples of one length are placed together. The pack with the least room that a sample fits
    into has still the least room for the next one of that length, until none fits: so every pack
    with that much room takes as many as it can, and all of them end with the same room.

    Raises:
        ValueError: a sample is longer than the capacity, or has no length.
    """
    import numpy as np

    sizes = np.asarray(lengths, dtype=np.int64)
    wrong = np.flatnonzero((sizes <= 0) | (sizes > capacity))
    if len(wrong):
        first = int(wrong[0])
        message = f"sample {first} has {sizes[first]} tokens; 1 to {capacity} fit into a pack"
        raise ValueError(message)
    order = np.argsort(-sizes, kind="stable")
    found, counts = np.unique(sizes, return_counts=True)
    rooms = _Rooms(capacity)
    for length, count in zip(found[::-1].tolist(), counts[::-1].tolist(), strict=True):
        rooms.place(length, count)
    return _gather(order, rooms)


def _gather(order: np.ndarray, rooms: _Rooms) -> list[list[int]]:
    """Return the positions of each pack, given what pack each sample in `order` went to."""
    import numpy as np

    if not len(order):
        return []
    pack_of = np.repeat(rooms.placed_in, rooms.placed)
    members = order[np.argsort(pack_of, kind="stable")].tolist()
    ends = np.cumsum(np.bincount(pack_of, minlength=rooms.opened)).tolist()
    starts = [0, *ends[:-1]]
    return [members[start:end] for start, end in zip(starts, ends, strict=True)]


class _Rooms:
    """Packs by the room they have left, and which packs samples were placed in, and how many.

    Attributes:
        opened: packs so far, numbered from 0.
        placed_in: packs, in the order in which samples went into them.
        placed: how many samples each time.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.opened = 0
        self.placed_in: list[int] = []
        self.placed: list[int] = []
        self._stacks: dict[int, list[int]] = {}
        self._bits = 0  # bit r: some pack has room r

    def place(self, length: int, count: int) -> None:
        """Place as many samples of one length."""
        for room, packs in self._with_room(length):
            count = self._fill(packs, room, length, count)
            if count == 0:
                if packs:  # the rest of them keeps its room
                    self._put(room, packs)
                return
        whole, rest = divmod(count, self.capacity // length)
        new = list(range(self.opened, self.opened + whole + (rest > 0)))
        self.opened += len(new)
        self._fill(new[::-1], self.capacity, length, count)

    def _with_room(self, length: int) -> Iterator[tuple[int, list[int]]]:
        """Yield and take out packs that the length fits into, those with least room first."""
        while True:
            enough = self._bits >> length
            if not enough:
                return
            room = length + (enough & -enough).bit_length() - 1
            self._bits &= ~(1 << room)
            yield room, self._stacks.pop(room)

    def _fill(self, packs: list[int], room: int, length: int, count: int) -> int:
        """Fill packs of one room from the end of the list; return how many samples are left.

        Packs that are used are taken off the list.
        """
        each = room // length
        whole = min(len(packs), count // each)
        if whole:
            used = packs[: -whole - 1 : -1]
            del packs[-whole:]
            self._note(used, each, room - each * length)
            count -= whole * each
        if packs and count:
            self._note([packs.pop()], count, room - count * length)
            count = 0
        return count

    def _note(self, packs: list[int], each: int, room: int) -> None:
        """Take note that packs got so many samples each, and have so much room now."""
        self.placed_in += packs
        self.placed += [each] * len(packs)
        if room:
            self._put(room, packs)

    def _put(self, room: int, packs: list[int]) -> None:
        self._stacks.setdefault(room, []).extend(packs)
        self._bits |= 1 << room
