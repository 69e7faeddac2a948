"""Detect and undo side effects of a plugin on the process.

A result is a function of parameters, input and seed. What a plugin leaves behind for the others
would make it a function of which plugins ran before, and in which process.
"""

from __future__ import annotations

import io
import os
import random
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from types import FrameType
from typing import Any

from ..schema.errors import InputError, StepError
from ..schema.plan import PluginRef

PATIENCE = "KHICHDI_PATIENCE"
DEFAULT_PATIENCE = 3600.0
HEARD = 60  # characters of what a plugin printed that a message shows


class PluginError(StepError):
    """A plugin did what its kind forbids, or gave back what its kind does not give.

    `row` is the id of the row it was about, or the position in the batch, where one is known;
    `plugin` is set where it is not the step's own.
    """

    def __init__(self, message: str, *, row: str | int | None = None, hint: str | None = None):
        super().__init__(message, hint=hint)
        self.row = row
        self.plugin: PluginRef | None = None


class SilentPluginError(PluginError):
    """A plugin gave no sign for longer than there is patience."""


@contextmanager
def watched(files: Iterable[Path] = ()) -> Iterator[None]:
    """Refuse side effects of what runs inside: a `PluginError` names the first, all are put back.

    Watched are the environment, the working directory, the global random generators of Python,
    numpy and torch, standard output, and the files in the folders given. What runs inside and
    raises keeps its own error.
    """
    before = {name: read() for name, (read, _) in _STATES.items()}
    inputs = {folder: _listing(folder) for folder in files}
    heard = io.StringIO()
    faults: list[str] = []
    try:
        with redirect_stdout(heard):
            yield
    finally:
        for name, (read, put) in _STATES.items():
            now = read()
            # A library that was loaded inside had no state before, and may draw as it loads.
            if before[name] is not None and not _same(before[name], now):
                faults.append(f"changed {_difference(name, before[name], now)}")
                put(before[name])
    if heard.getvalue():
        shown = " ".join(heard.getvalue().split())[:HEARD]
        faults.insert(0, f"printed to standard output: {shown!r}")
    for folder, listing in inputs.items():
        if changed := _changed(listing, _listing(folder)):
            faults.append(f"changed its input: {changed}")
    if faults:
        raise PluginError(
            "; ".join(faults), hint="a plugin gives its result back and leaves all else"
        )


@contextmanager
def loading() -> Iterator[None]:
    """Let a library load that may draw random numbers as it does; the plugin did not draw them."""
    state = random.getstate()
    try:
        yield
    finally:
        random.setstate(state)


def patience(kind: str) -> float:
    """Return for how many seconds a plugin may give no sign; 0 is for ever.

    Sources wait for the network as their own limits say, unless the environment says otherwise.

    Raises:
        InputError: the environment variable is not a number.
    """
    text = os.environ.get(PATIENCE, "").strip()
    if not text:
        return 0.0 if kind == "source" else DEFAULT_PATIENCE
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < 1e9:
        raise InputError(
            f"{PATIENCE} is `{text}`; seconds were expected",
            hint=f"unset {PATIENCE} for an hour, or set it to 0 to wait forever",
        )
    return seconds


@contextmanager
def bounded(seconds: float) -> Iterator[Callable[[], None]]:
    """Stop what runs inside when it gives no sign for so long; yields what gives a sign.

    It stops Python code, in the main thread and on systems with timers; elsewhere it waits.
    """
    possible = hasattr(signal, "setitimer") and (
        threading.current_thread() is threading.main_thread()
    )
    if not possible or not seconds:
        yield lambda: None
        return

    def stop(number: int, frame: FrameType | None) -> None:
        raise SilentPluginError(
            f"made no progress for {seconds:g} s",
            hint=f"if it is only slow, wait longer with {PATIENCE}=SECONDS (0: forever)",
        )

    previous = signal.signal(signal.SIGALRM, stop)
    left, _ = signal.getitimer(signal.ITIMER_REAL)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield lambda: void(signal.setitimer(signal.ITIMER_REAL, seconds))
    finally:
        signal.setitimer(signal.ITIMER_REAL, left)
        signal.signal(signal.SIGALRM, previous)


def void(_: object) -> None:
    """Take a value and give none."""


# ---- watched state --------------------------------------------------------------------------


LIBRARIES = (
    "BNB_", "CUDA_", "HF_", "KMP_", "LRU_CACHE_", "OMP_", "ONEDNN_", "TOKENIZERS_", "TORCH",
    "TRITON_",
)  # fmt: skip
"""How the variables begin that libraries set when they are first used, for themselves."""


def _environment() -> dict[str, str]:
    return dict(os.environ)


def _put_environment(values: Mapping[str, str]) -> None:
    for name in os.environ.keys() - values.keys():
        del os.environ[name]
    os.environ.update(values)


def _folder() -> str | None:
    try:
        return os.getcwd()
    except OSError:
        return None


def _numpy() -> Any:
    numpy = sys.modules.get("numpy")
    return numpy.random.get_state() if numpy and hasattr(numpy, "random") else None


def _torch() -> Any:
    torch = sys.modules.get("torch")
    return torch.random.get_rng_state() if torch and hasattr(torch, "random") else None


_STATES: dict[str, tuple[Callable[[], Any], Callable[[Any], Any]]] = {
    "environment": (_environment, _put_environment),
    "the working directory": (_folder, os.chdir),
    "the global state of `random`": (random.getstate, random.setstate),
    "the global state of `numpy.random`": (
        _numpy,
        lambda value: sys.modules["numpy"].random.set_state(value),
    ),
    "the global state of torch's random generator": (
        _torch,
        lambda value: sys.modules["torch"].random.set_rng_state(value),
    ),
}


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, dict):
        return not _changed_names(one, other)
    if hasattr(one, "equal"):
        return bool(one.equal(other))
    if isinstance(one, tuple) and len(one) > 1 and hasattr(one[1], "tobytes"):
        return bool(one[1].tobytes() == other[1].tobytes() and one[2:] == other[2:])
    return bool(one == other)


def _changed_names(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    added = {k for k in now.keys() - before.keys() if k.startswith(LIBRARIES)}
    return sorted(k for k in (before.keys() | now.keys()) - added if before.get(k) != now.get(k))


def _difference(name: str, before: Any, now: Any) -> str:
    if name == "environment":
        changed = _changed_names(before, now)
        many = "s" * (len(changed) > 1)
        return f"the environment variable{many} {', '.join(changed)}"
    if name == "the working directory":
        return f"{name} to {now}"
    return name


def _listing(folder: Path) -> dict[str, tuple[int, int]]:
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            status = path.stat()
            found[path.relative_to(folder).as_posix()] = (status.st_size, status.st_mtime_ns)
    return found


def _changed(before: Mapping[str, Any], now: Mapping[str, Any]) -> str | None:
    names = sorted(k for k in before.keys() | now.keys() if before.get(k) != now.get(k))
    return names[0] if names else None
