"""Every system call that Python code makes on files, counted; at one of them something happens.

The calls are wrapped in this process, before what is tested runs in it: `os` functions, `open` and
the raw file below it, and the exchange of two folders. What libraries do in their own native code
(Arrow's writing of a table) is not seen. Nothing of it is in the product.
"""

from __future__ import annotations

import builtins
import io
import os
import signal
from collections.abc import Callable
from typing import Any

CHANGES = (
    "mkdir", "rename", "replace", "unlink", "remove", "rmdir", "chmod", "fchmod", "fsync", "link",
    "symlink", "utime", "truncate", "ftruncate", "write", "sendfile", "copy_file_range",
)  # fmt: skip
LOOKS = ("stat", "lstat", "scandir", "listdir", "readv", "read", "readlink")

Act = Callable[[str], None]


class Points:
    """Counts calls; at number `at` (from 0) it does `act`, which may kill, raise, or return.

    `looks` counts calls that change nothing, too. A call whose arguments `skips` returns True for
    is not counted.
    """

    def __init__(
        self,
        act: Act | None = None,
        at: int | None = None,
        *,
        looks: bool = False,
        skips: Callable[[Any], bool] = lambda target: False,
    ) -> None:
        self.act = act
        self.at = at
        self.looks = looks
        self.skips = skips
        self.names: list[str] = []
        self.short = False
        self._here = False

    def hit(self, name: str, target: Any = None) -> None:
        """Take note of a call that is about to be made."""
        if self._here or self.skips(target):
            return
        number = len(self.names)
        self.names.append(name)
        if number == self.at and self.act is not None:
            self._here = True
            try:
                self.act(name)
            finally:
                self._here = False

    def install(self) -> None:
        """Wrap the calls, for good: this process is for one experiment."""
        for name in (*CHANGES, *(LOOKS if self.looks else ())):
            if hasattr(os, name):
                setattr(os, name, self._wrapped(name, getattr(os, name)))
        opened, os_open = _opener(self), os.open

        def open_handle(path: Any, flags: int, *rest: Any, **named: Any) -> int:
            if self.looks or flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
                self.hit("open", path)
            return os_open(path, flags, *rest, **named)

        os.open = open_handle  # type: ignore[assignment]
        io.open = builtins.open = opened  # type: ignore[assignment]
        from khichdi.runtime.store import atomic_io as durable

        exchange = durable._exchange
        durable._exchange = self._wrapped("exchange", exchange)

    def _wrapped(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*given: Any, **named: Any) -> Any:
            self.hit(name, given[0] if given else None)
            if self.short and name in ("write", "sendfile", "copy_file_range"):
                self.short = False
                return _less(name, call, given, named)
            return call(*given, **named)

        return wrapped


def _less(name: str, call: Callable[..., Any], given: tuple[Any, ...], named: Any) -> Any:
    """Make a call that writes half of what it was asked to, as the system may."""
    if name == "write":
        return call(given[0], memoryview(given[1])[: max(1, len(given[1]) // 2)], **named)
    return call(*given[:-1], max(1, given[-1] // 2), **named)


def _opener(points: Points) -> Callable[..., Any]:
    """Return `open`, over a raw file whose reads and writes are counted."""
    real, raw_file = io.open, _raw_file(points)

    def opened(
        file: Any,
        mode: str = "r",
        buffering: int = -1,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
        closefd: bool = True,
        opener: Any = None,
    ) -> Any:
        writes = any(letter in mode for letter in "wax+")
        if not (points.looks or writes):
            return real(file, mode, buffering, encoding, errors, newline, closefd, opener)
        if not isinstance(file, int):
            points.hit("open", file)
        raw = raw_file(file, mode.replace("b", "").replace("t", ""), closefd, opener)
        if buffering == 0:
            return raw
        kind = io.BufferedWriter if writes else io.BufferedReader
        buffer = io.BufferedRandom(raw) if "+" in mode else kind(raw)
        if "b" in mode:
            return buffer
        return io.TextIOWrapper(buffer, encoding, errors, newline, buffering == 1)

    return opened


def _raw_file(points: Points) -> type[io.FileIO]:
    class Raw(io.FileIO):
        def write(self, data: Any) -> Any:
            points.hit("write", self.name)
            if points.short:
                points.short = False
                view = memoryview(data).cast("B")
                return super().write(view[: max(1, len(view) // 2)])
            return super().write(data)

        def readinto(self, buffer: Any) -> Any:
            self._look()
            return super().readinto(buffer)

        def readall(self) -> bytes:
            self._look()
            return super().readall()

        def read(self, size: int = -1) -> Any:
            self._look()
            return super().read(size)

        def _look(self) -> None:
            if points.looks:
                points.hit("read", self.name)

    return Raw


def kill(name: str) -> None:
    """Die at once, as a process that is killed or loses its machine's memory does."""
    os.kill(os.getpid(), signal.SIGKILL)


def fail_with(number: int) -> Act:
    """Return an act that fails a call with this error number."""

    def fail(name: str) -> None:
        raise OSError(number, os.strerror(number))

    return fail
