"""Sees whether a plugin's own code reads the clock, the environment or the network."""

from __future__ import annotations

import datetime
import os
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from ..base import Plugin

_CLOCKS = {
    getattr(time, name)
    for name in (
        "time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns",
        "process_time", "localtime", "gmtime",
    )
}  # fmt: skip
_NOW = frozenset({"now", "utcnow", "today"})
_NETWORK = frozenset({"connect", "connect_ex", "sendto"})
_ENVIRONMENT = {os.getenv.__code__, type(os.environ).__getitem__.__code__}


@contextmanager
def forbidden_access(plugin: type[Plugin[Any]], forbids: frozenset[str]) -> Iterator[None]:
    """Fail when the plugin reads what its kind forbids.

    Clock and environment count when the plugin's own package reads them: libraries may, for
    ends that show in no result. A connection counts whoever makes it.
    """
    if not forbids:
        yield
        return
    package = plugin.__module__.split(".")[0]
    if package == "khichdi":
        package = plugin.__module__
    found: list[str] = []

    def own(frame: FrameType | None) -> bool:
        name = str(frame.f_globals.get("__name__", "")) if frame else ""
        return name == package or name.startswith(package + ".")

    def see(frame: FrameType, event: str, argument: Any) -> None:
        if event == "c_call":
            what = _called(argument)
            if what and (what == "network" or own(frame)):
                found.append(f"{what}: {argument.__name__}() in line {frame.f_lineno}")
        elif event == "call" and frame.f_code in _ENVIRONMENT and _reader(frame, own):
            found.append(f"environment: in line {_line(frame, own)}")

    before = sys.getprofile()
    sys.setprofile(see)
    try:
        yield
    finally:
        sys.setprofile(before)
    wrong = [text for text in found if text.split(":")[0] in forbids]
    if wrong:
        raise AssertionError(f"a {plugin.kind} may not read the {wrong[0]}")


def _called(function: Any) -> str | None:
    """Return what a built-in function reads, if it is one of those."""
    try:
        if function in _CLOCKS:
            return "clock"
    except TypeError:
        return None
    owner = getattr(function, "__self__", None)
    if function.__name__ in _NOW and isinstance(owner, type) and issubclass(owner, datetime.date):
        return "clock"
    if function.__name__ in _NETWORK and isinstance(owner, socket.socket):
        return "network"
    return None


def _reader(frame: FrameType, own: Any) -> bool:
    """Tell whether the plugin asked: directly, or by `os.environ.get` and `os.getenv`."""
    return _line(frame, own) is not None


def _line(frame: FrameType, own: Any) -> int | None:
    caller = frame.f_back
    for _ in range(3):
        if caller is None:
            return None
        if own(caller):
            # A library's compiled code has no frame of its own: what it reads is not the plugin's.
            asks = {"environ", "getenv"} & set(caller.f_code.co_names)
            return caller.f_lineno if asks else None
        if caller.f_code.co_filename not in (os.__file__, os.environ.get.__code__.co_filename):
            return None
        caller = caller.f_back
    return None
