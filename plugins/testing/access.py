"""Detect whether a plugin's code reads the clock, the environment or the network."""

from __future__ import annotations

import datetime
import os
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
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
_CONNECTIONS = frozenset(
    {"socket.connect", "socket.sendto", "socket.sendmsg", "socket.getaddrinfo"}
)
_MACHINES = (socket.AF_INET, socket.AF_INET6)
_listeners: list[list[str]] = []
"""Current listeners for connections; an audit hook cannot be removed once added."""
_ENVIRONMENT = {os.getenv.__code__, type(os.environ).__getitem__.__code__}


@contextmanager
def forbidden_access(plugin: type[Plugin[Any]], forbids: frozenset[str]) -> Iterator[None]:
    """Fail when the plugin reads what its kind forbids.

    Clock and environment count when the plugin's own package reads them: libraries may, for
    ends that show in no result. A connection to another machine counts, in any
    library and thread.
    """
    found: list[str] = []
    with _heard(found), _followed(plugin, found, forbids):
        yield
    wrong = [text for text in found if text.split(":")[0] in forbids]
    if wrong:
        article = "an" if plugin.kind[0] in "aeiou" else "a"
        raise AssertionError(f"{article} {plugin.kind} may not read the {wrong[0]}")


@contextmanager
def _heard(found: list[str]) -> Iterator[None]:
    """Write down each connection that is made inside."""
    _add_hook()
    _listeners.append(found)
    try:
        yield
    finally:
        _listeners.remove(found)


@cache
def _add_hook() -> None:
    sys.addaudithook(_connection)


def _connection(event: str, arguments: tuple[Any, ...]) -> None:
    if not _listeners or event not in _CONNECTIONS:
        return
    named = event == "socket.getaddrinfo"
    if not named and arguments[0].family not in _MACHINES:
        return  # to another process of this machine
    for found in _listeners:
        found.append(f"network: {event} {arguments[0 if named else 1]}")


@contextmanager
def _followed(
    plugin: type[Plugin[Any]], found: list[str], forbids: frozenset[str]
) -> Iterator[None]:
    """Write down where the plugin's own code reads the clock and the environment.

    Every call is followed, which takes long: only where one of them is forbidden.
    """
    if forbids.isdisjoint(("clock", "environment")):
        yield
        return
    package = plugin.__module__.split(".")[0]
    if package == "khichdi":
        package = plugin.__module__

    def own(frame: FrameType | None) -> bool:
        name = str(frame.f_globals.get("__name__", "")) if frame else ""
        return name == package or name.startswith(package + ".")

    def see(frame: FrameType, event: str, argument: Any) -> None:
        if event == "c_call":
            if own(frame) and _is_clock(argument):
                found.append(f"clock: {argument.__name__}() in line {frame.f_lineno}")
        elif event == "call" and frame.f_code in _ENVIRONMENT and _reader(frame, own):
            found.append(f"environment: in line {_line(frame, own)}")

    before = sys.getprofile()
    sys.setprofile(see)
    try:
        yield
    finally:
        sys.setprofile(before)


def _is_clock(function: Any) -> bool:
    """Tell whether a built-in function reads the clock."""
    try:
        if function in _CLOCKS:
            return True
    except TypeError:
        return False
    owner = getattr(function, "__self__", None)
    return (
        function.__name__ in _NOW and isinstance(owner, type) and issubclass(owner, datetime.date)
    )


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
