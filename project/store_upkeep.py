"""Measure, verify and repair a store, and collect its garbage down to a quota."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..plugins.registry import load_registry
from ..runtime.sources.mirror import Mirror
from ..runtime.sources.pin import fetch
from ..runtime.store.gc_and_verify import clean, make_room, size_of
from ..runtime.store.gc_and_verify import verify as verify
from ..runtime.store.repair import Repair, Repaired
from ..runtime.store.store import Store
from ..schema.errors import FetchError
from ..schema.plan import PlanStep
from .session import store_folder


@dataclass(frozen=True)
class Usage:
    """The contents of a store: results, artifacts, and the bytes of these."""

    results: int
    artifacts: int
    size: int


def usage(store: Store) -> Usage:
    """Count a store's results, artifacts and bytes."""
    artifacts = list(store.artifacts())
    return Usage(len(list(store.results())), len(artifacts), sum(map(size_of, artifacts)))


def open_store(folder: str | Path | None = None) -> Store:
    """Open a store; left out, the folder is found as `store_folder` says."""
    return Store(store_folder(folder))


def repair_store(store: Store, mirror: Mirror | None = None) -> list[Repaired]:
    """Restore damaged artifacts, download pinned sources again, and remove the rest.

    Raises:
        StoreError: the store cannot be written, or a run uses it.
    """
    registry = load_registry()

    def again(step: PlanStep, into: Path) -> None:
        if step.plugin.file:
            raise FetchError(f"{step.name} was fetched by a plugin file, which is not run here")
        if registry.create(step.plugin.kind, step.plugin.name, step.plugin.params).local:
            raise FetchError(f"{step.name} came from a folder that the store does not know")
        fetch(step, into, registry, into, mirror)

    return Repair(store, again).run()


@dataclass(frozen=True)
class Collected:
    """Bytes and results that were removed; with a quota, the bytes that are left."""

    freed: int
    results: int
    left: int | None = None


def collect_garbage(store: Store, quota: int | None) -> Collected:
    """Remove unreferenced artifacts, then least recently used results until below the quota.

    Results of runs stay, even above the quota.

    Raises:
        StoreError: a run uses the store, or something cannot be removed.
    """
    removed = clean(store)
    if quota is None:
        return Collected(removed.freed, removed.results)
    more = make_room(store, quota)
    return Collected(removed.freed + more.freed, removed.results + more.results, more.left)
