"""Verify a store, collect garbage, and enforce a quota.

A clean-up keeps runs out (`Store.alone`): a run that is going on has results that nothing names
yet. Checking needs no such thing.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ...schema.record import Output, StepResult
from .atomic_io import discard
from .runs import newest_runs
from .store import Store


@dataclass
class Removed:
    """Results and bytes that garbage collection removed.

    `left` is the store's size afterwards, where there is a quota.
    """

    freed: int = 0
    results: int = 0
    left: int | None = None


@dataclass
class Checked:
    """The outcome of a check: the number of results, and the damaged files."""

    results: int = 0
    damaged: list[str] = field(default_factory=list)


def verify(store: Store) -> Checked:
    """Hash every file that a result or a run names."""
    found = Checked()
    outputs: list[Output] = []
    for key in store.result_keys():
        found.results += 1
        result = store.recorded(key)
        if result is None:
            found.damaged.append(f"{store.result_path(key)}: is not a result, or was modified")
        else:
            outputs += result.outputs.values()
    damaged = store.check_all(outputs, every=True)
    found.damaged += [line for lines in damaged.values() for line in lines]
    return found


def clean(store: Store) -> Removed:
    """Remove artifacts that nothing names, results that cannot be read, and what kills left.

    Raises:
        StoreError: a run is at work, or something cannot be removed.
    """
    removed = Removed()
    with store.exclusive():
        for key in store.result_keys():
            if store.recorded(key) is None:
                store.forget(key)
                removed.results += 1
        named = {store.folder(output) for output in _named(store)}
        unnamed = [folder for folder in store.artifacts() if folder not in named]
        for folder in [*unnamed, *_done_work(store)]:
            removed.freed += size_of(folder)
            discard(folder, store.scratch)
        for path in _leftovers(store):
            removed.freed += size_of(path)
            shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink()
    return removed


def make_room(
    store: Store, quota: int, coming: int = 0, keep: frozenset[str] = frozenset()
) -> Removed:
    """Drop results until the store, with `coming` bytes more, is below a quota.

    Those go that no run names and that are not in `keep`, the least recently used first. What a
    run names stays, even where that is above the quota.

    Raises:
        StoreError: a run is at work, or something cannot be removed.
    """
    removed = Removed()
    with store.exclusive():
        left = size_of(store.root)
        if left + coming > quota:
            named = {step.key for step in run_results(store)} | keep
            users = _users(store)
            idle = [key for key in store.result_keys() if key not in named]
            for key in sorted(idle, key=store.last_used):
                if left + coming <= quota:
                    break
                freed = _drop(store, key, users)
                left -= freed
                removed.freed += freed
                removed.results += 1
        removed.left = left
    return removed


def run_results(store: Store) -> Iterator[StepResult]:
    """Yield the result of every step of every run that finished."""
    for _, record in newest_runs(store):
        if record is not None:
            yield from (step.result for step in record.steps)


def size_of(path: Path) -> int:
    """Return the bytes below a path; a file with several names counts once."""
    sizes: dict[tuple[int, int], int] = {}
    for file in [path, *path.rglob("*")]:
        try:
            status = file.lstat()
        except OSError:
            continue  # gone meanwhile
        if not file.is_dir():
            sizes[status.st_dev, status.st_ino] = status.st_size
    return sum(sizes.values())


def _named(store: Store) -> Iterator[Output]:
    told = (store.recorded(key) for key in store.result_keys())
    for result in [*filter(None, told), *run_results(store)]:
        yield from result.outputs.values()


def _users(store: Store) -> dict[Path, set[str]]:
    """Return, for each artifact, the keys of the results that name it."""
    users: dict[Path, set[str]] = {}
    for result in [*filter(None, map(store.recorded, store.result_keys())), *run_results(store)]:
        for output in result.outputs.values():
            users.setdefault(store.folder(output), set()).add(result.key)
    return users


def _drop(store: Store, key: str, users: dict[Path, set[str]]) -> int:
    """Remove a result with the artifacts that only it names, and return the bytes freed."""
    freed = store.result_path(key).stat().st_size
    store.forget(key)
    for folder, keys in users.items():
        if key in keys:
            keys.discard(key)
            if not keys:
                freed += size_of(folder)
                discard(folder, store.scratch)
    return freed


def _done_work(store: Store) -> list[Path]:
    """Return the checkpoint folders of steps whose result is there."""
    folders = sorted(path for path in (store.root / "work").glob("*") if path.is_dir())
    return [path for path in folders if store.result(f"sha256:{path.name}") is not None]


def _leftovers(store: Store) -> list[Path]:
    """Return private folders of ended processes, and files that were never renamed."""
    private = [path for path in sorted(store.scratch.glob("*")) if not _alive(path)]
    return private + sorted((store.root / "steps").glob(".*"))


def _alive(path: Path) -> bool:
    """Return whether the process that a private folder is named after still runs."""
    try:
        os.kill(int(path.name.split("-")[0]), 0)
    except (ProcessLookupError, ValueError):
        return False
    except OSError:
        return True
    return True
