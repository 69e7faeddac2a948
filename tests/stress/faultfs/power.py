"""A power loss, simulated: which states of the disk a trace of file operations can leave.

A file system may bring to disk what was not synced in any order, in part, or not at all. Of the
operations up to some instant, those hold that a sync came after: a file's bytes by a sync of the
file, the names in a folder by a sync of the folder. Of all others any subset may be there, and a
file that was not synced may be empty, cut, full of zeros, or whole. A rename or an exchange is
there under both names or under none, and with a sync of the folder it brought something to.
"""

from __future__ import annotations

import io
import os
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Names = dict[str, int]
TORN = (
    lambda data: b"",
    lambda data: data[: len(data) // 2],
    lambda data: bytes(len(data)),
    lambda data: data,
)
"""What can be there of a file that was not synced."""


@dataclass
class Op:
    """A change of names: these go from, and come to, folders; or a sync, or a mark.

    `gone` and `come` are (folder, name, node); a sync has `synced`, with a file's bytes.
    """

    gone: tuple[tuple[int, str], ...] = ()
    come: tuple[tuple[int, str, int], ...] = ()
    synced: int | None = None
    data: bytes | None = None
    mark: str | None = None


@dataclass
class Trace:
    """What happened below a folder, which is node 0; `nodes` has the names in each folder now."""

    root: Path
    ops: list[Op] = field(default_factory=list)
    nodes: list[Names | None] = field(default_factory=lambda: [{}])
    final: dict[int, bytes] = field(default_factory=dict)
    before: dict[int, Names] = field(default_factory=dict)

    def start(self) -> None:
        """Take what is there now as on disk, and write down what happens from now on."""
        self._discover(self.root)
        for number, names in enumerate(self.nodes):
            if names is None:
                self.ops.append(Op(synced=number, data=self.final[number]))
        self.before = {n: dict(names) for n, names in enumerate(self.nodes) if names is not None}
        self.ops = [op for op in self.ops if op.synced is not None]
        self._wrap()

    def mark(self, what: str) -> None:
        """Note that something is promised to be there from now on."""
        self.ops.append(Op(mark=what))

    def end(self) -> None:
        """Take note of files that native code wrote and nobody asked about."""
        self._discover(self.root)

    # ---- what happens ---------------------------------------------------------------------------

    def _wrap(self) -> None:
        from khichdi.runtime.store import atomic_io as durable

        for name in ("mkdir", "rmdir", "unlink", "remove", "fsync"):
            setattr(os, name, self._wrapped(getattr(os, name), getattr(self, f"_{name}")))
        for name in ("rename", "replace", "link"):
            setattr(os, name, self._wrapped(getattr(os, name), getattr(self, f"_{name}"), 2))
        durable._exchange = self._wrapped(durable._exchange, self._swap, 2)
        real = io.open

        def opened(file: Any, mode: str = "r", *rest: Any, **named: Any) -> Any:
            found = real(file, mode, *rest, **named)
            if any(letter in mode for letter in "wax") and not isinstance(file, int):
                self._known(Path(file).absolute())
            return found

        import builtins

        io.open = builtins.open = opened  # type: ignore[assignment]
        os_open = os.open

        def open_handle(path: Any, flags: int, *rest: Any, **named: Any) -> int:
            handle = os_open(path, flags, *rest, **named)
            if flags & os.O_CREAT:
                self._known(_path(path, named.get("dir_fd")))
            return handle

        os.open = open_handle  # type: ignore[assignment]

    def _wrapped(
        self, call: Callable[..., Any], note: Callable[..., None], count: int = 1
    ) -> Callable[..., Any]:
        """Wrap a call whose first `count` arguments say where."""

        def wrapped(*given: Any, **named: Any) -> Any:
            places = [_path(one, named.get("dir_fd")) for one in given[:count]]
            inside = [place for place in places if place.is_relative_to(self.root)]
            if not inside:
                return call(*given, **named)
            for place in inside:
                self._catch_up(place)
            result = call(*given, **named)
            note(*places)
            return result

        return wrapped

    def _catch_up(self, place: Path) -> None:
        """Know what is at a place, also what native code wrote there, before it changes."""
        if os.path.lexists(place):
            self._known(place)
            self._discover(place)

    def _mkdir(self, path: Path) -> None:
        self._known(path)

    def _rmdir(self, path: Path) -> None:
        folder, name = self._names(path)
        self._now(folder).pop(name)
        self.ops.append(Op(gone=((folder, name),)))

    _unlink = _remove = _rmdir

    def _rename(self, source: Path, target: Path) -> None:
        (one, name), (other, new) = self._names(source), self._names(target)
        node = self._now(one).pop(name)
        self._now(other)[new] = node
        self.ops.append(Op(gone=((one, name),), come=((other, new, node),)))

    _replace = _rename

    def _link(self, source: Path, target: Path) -> None:
        (one, name), (other, new) = self._names(source), self._names(target)
        self._now(other)[new] = self._now(one)[name]
        self.ops.append(Op(come=((other, new, self._now(one)[name]),)))

    def _swap(self, source: Path, target: Path) -> None:
        (one, name), (other, new) = self._names(source), self._names(target)
        mine, theirs = self._now(one)[name], self._now(other)[new]
        self._now(one)[name], self._now(other)[new] = theirs, mine
        self.ops.append(Op(come=((other, new, mine), (one, name, theirs))))

    def _fsync(self, path: Path) -> None:
        node = self._node(path)
        if path.is_dir():
            self.ops.append(Op(synced=node))
        else:
            self.final[node] = _bytes(path)
            self.ops.append(Op(synced=node, data=self.final[node]))

    # ---- what is where --------------------------------------------------------------------------

    def _known(self, path: Path) -> None:
        """Add what is new at a path."""
        if not path.is_relative_to(self.root) or path == self.root:
            return
        folder, name = self._names(path)
        if name not in self._now(folder):
            self.nodes.append({} if path.is_dir() else None)
            node = len(self.nodes) - 1
            self._now(folder)[name] = node
            self.ops.append(Op(come=((folder, name, node),)))

    def _discover(self, top: Path) -> None:
        for path in [top, *sorted(top.rglob("*"))] if top.is_dir() else [top]:
            self._known(path)
            if path.is_file():
                self.final[self._node(path)] = _bytes(path)

    def _names(self, path: Path) -> tuple[int, str]:
        return self._node(path.parent), path.name

    def _node(self, path: Path) -> int:
        node = 0
        for part in path.relative_to(self.root).parts:
            node = self._now(node)[part]
        return node

    def _now(self, folder: int) -> Names:
        names = self.nodes[folder]
        assert names is not None
        return names

    # ---- what can be left -----------------------------------------------------------------------

    def states(self, count: int, draw: random.Random) -> Iterator[tuple[int, dict[str, bytes]]]:
        """Yield instants with what is on disk after a power loss there: files by path.

        First every instant with nothing that was not synced, then with half of it, then at random.
        """
        length = len(self.ops)
        for number in range(count):
            at = number % (length + 1) if number < 2 * (length + 1) else draw.randrange(length + 1)
            share = 0.0 if number <= length else draw.choice((0.1, 0.5, 0.5, 0.9, 1.0))
            yield at, self._state(at, share, draw)

    def _state(self, at: int, share: float, draw: random.Random) -> dict[str, bytes]:
        ops = self.ops[:at]
        synced = {op.synced: number for number, op in enumerate(ops) if op.synced is not None}
        data = {op.synced: op.data for op in ops if op.data is not None}
        names = {node: dict(there) for node, there in self.before.items()}
        for number, op in enumerate(ops):
            # What comes to a folder holds with that folder; what only goes, with where it was.
            folder = next((place[0] for place in (*op.come, *op.gone)), None)
            holds = synced.get(folder, -1) > number
            if not (holds or draw.random() < share):
                continue
            for folder, name in op.gone:
                names.setdefault(folder, {}).pop(name, None)
            for folder, name, node in op.come:
                names.setdefault(folder, {})[name] = node
        found: dict[str, bytes] = {}
        self._walk(0, "", names, found, data, draw)
        return found

    def _walk(
        self,
        node: int,
        path: str,
        names: dict[int, Names],
        found: dict[str, bytes],
        data: dict[int | None, bytes],
        draw: random.Random,
    ) -> None:
        for name, child in sorted(names.get(node, {}).items()):
            below = f"{path}/{name}" if path else name
            if self.nodes[child] is not None:
                found[f"{below}/"] = b""
                self._walk(child, below, names, found, data, draw)
            elif child in data:
                found[below] = data[child]
            else:
                found[below] = draw.choice(TORN)(self.final.get(child, b"?"))


def build(state: dict[str, bytes], root: Path) -> None:
    """Make the files and folders of a state."""
    root.mkdir()
    for name, data in state.items():
        if name.endswith("/"):
            (root / name).mkdir()
        else:
            (root / name).write_bytes(data)


def _path(place: Any, folder: int | None) -> Path:
    """Return the path that a call was given: as such, in an open folder, or as an open file."""
    if isinstance(place, int):
        return Path(os.readlink(f"/proc/self/fd/{place}"))
    start = Path(os.readlink(f"/proc/self/fd/{folder}")) if folder is not None else Path.cwd()
    return start / place


def _bytes(path: Path) -> bytes:
    return path.read_bytes()
