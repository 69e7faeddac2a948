"""What the store holds; `verify` hashes every byte of it, `gc` removes what nothing names."""

from __future__ import annotations

import shutil
from argparse import ArgumentParser, Namespace
from pathlib import Path

from ..runtime.store import Store
from .output import emit, size
from .session import store_folder


def arguments(parser: ArgumentParser) -> None:
    """Add what this command takes."""
    parser.add_argument("action", nargs="?", choices=("status", "verify", "gc"), default="status")


def run(options: Namespace) -> int:
    """Do the action."""
    store = Store(store_folder(options))
    actions = {"status": _status, "verify": _verify, "gc": _gc}
    return actions[options.action](store, options)


def _status(store: Store, options: Namespace) -> int:
    results = [result for _, result in store.results()]
    artifacts = list(store.artifacts())
    total = sum(_size(folder) for folder in artifacts)
    document = {
        "store": str(store.root),
        "steps": len(results),
        "artifacts": len(artifacts),
        "bytes": total,
    }
    text = f"{store.root}: {len(results)} steps, {len(artifacts)} artifacts, {size(total)}"
    emit(options, document, text)
    return 0


def _verify(store: Store, options: Namespace) -> int:
    """Hash everything; what is damaged is named, and exit status is 1."""
    damaged = []
    count = 0
    for key, result in store.results():
        count += 1
        if result is None:
            damaged.append(f"{key}: its files are not all there")
            continue
        for output in result.outputs.values():
            damaged += store.check(output, every=True)
    text = "\n".join([*damaged, f"{count} steps checked, {len(damaged)} damaged"])
    if damaged:
        text += "\nnext: recipe store gc removes them; the next run makes them again"
    emit(options, {"steps": count, "damaged": damaged}, text)
    return 1 if damaged else 0


def _gc(store: Store, options: Namespace) -> int:
    """Remove damaged results, artifacts that no result names, and what killed runs left."""
    for key, result in store.results():
        outputs = result.outputs.values() if result else ()
        if result is None or any(store.check(output, every=True) for output in outputs):
            store.forget(key)
    kept = {
        store.folder(output)
        for _, result in store.results()
        if result
        for output in result.outputs.values()
        if not store.check(output, every=True)
    }
    freed = 0
    for folder in [*store.artifacts(), *_leftovers(store)]:
        if folder not in kept:
            freed += _size(folder)
            shutil.rmtree(folder, ignore_errors=True)
    emit(options, {"freed_bytes": freed}, f"freed {size(freed)}")
    return 0


def _leftovers(store: Store) -> list[Path]:
    """Return the private folders of processes that are no longer there."""
    folder = store.root / "tmp"
    found = sorted(folder.iterdir()) if folder.is_dir() else []
    return [path for path in found if not Path(f"/proc/{path.name.split('-')[0]}").exists()]


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
