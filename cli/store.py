"""What the store holds, and its upkeep.

`verify` hashes every byte of it; `repair` puts right what is damaged, or removes it; `gc` removes
what nothing names, and with `--quota` also the results that were not of use for longest.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from dataclasses import asdict
from pathlib import Path

from ..runtime.store.gc_and_verify import clean, make_room, size_of, verify
from ..runtime.store.store import Store
from ..schema.errors import FetchError, InputError
from ..schema.plan import PlanStep
from .mirrors import mirror_argument, open_mirror
from .output import emit, size
from .quota import quota
from .session import store_folder


def arguments(parser: ArgumentParser) -> None:
    """Add what this command takes."""
    parser.add_argument(
        "action", nargs="?", choices=("status", "verify", "repair", "gc"), default="status"
    )
    parser.add_argument(
        "--quota",
        metavar="SIZE",
        help="with gc: drop results that no run names, the least recently used first, until the "
        "store is below this (200GiB, 1.5TB)",
    )
    mirror_argument(parser)


def run(options: Namespace) -> int:
    """Do the action."""
    if options.quota is not None and options.action != "gc":
        raise InputError("--quota goes with `recipe store gc`")
    store = Store(store_folder(options))
    actions = {"status": _status, "verify": _verify, "repair": _repair, "gc": _gc}
    return actions[options.action](store, options)


def _status(store: Store, options: Namespace) -> int:
    results = [result for _, result in store.results()]
    artifacts = list(store.artifacts())
    total = sum(size_of(folder) for folder in artifacts)
    most = quota(None)
    document = {
        "store": str(store.root),
        "steps": len(results),
        "artifacts": len(artifacts),
        "bytes": total,
        "quota": most,
    }
    text = f"{store.root}: {len(results)} steps, {len(artifacts)} artifacts, {size(total)}"
    text += "" if most is None else f", quota {size(most)}"
    emit(options, document, text)
    return 0


def _verify(store: Store, options: Namespace) -> int:
    """Hash everything; what is damaged is named, and exit status is 1."""
    found = verify(store)
    count = len(found.damaged)
    text = "\n".join([*found.damaged, f"{found.results} steps checked, {count} damaged"])
    if found.damaged:
        text += "\nnext: recipe store repair brings back what it can, and removes the rest"
    emit(options, {"steps": found.results, "damaged": found.damaged}, text)
    return 1 if found.damaged else 0


def _repair(store: Store, options: Namespace) -> int:
    """Put right what is damaged; each thing is named with what was done."""
    from ..plugins.registry import load_registry
    from ..runtime.sources.pin import fetch
    from ..runtime.store.repair import Repair

    registry = load_registry()
    mirror = open_mirror(options)

    def again(step: PlanStep, into: Path) -> None:
        if step.plugin.file:
            raise FetchError(f"{step.name} was fetched by a plugin file, which is not run here")
        if registry.create(step.plugin.kind, step.plugin.name, step.plugin.params).local:
            raise FetchError(f"{step.name} came from a folder that the store does not know")
        fetch(step, into, registry, into, mirror)

    mended = Repair(store, again).run()
    lines = [f"{one.step}: {one.what}, {one.how}" for one in mended]
    removed = sum(one.what == "removed" for one in mended)
    lines.append(f"{len(mended)} damaged, {len(mended) - removed} put right, {removed} removed")
    emit(options, {"mended": [asdict(one) for one in mended]}, "\n".join(lines))
    return 0


def _gc(store: Store, options: Namespace) -> int:
    """Remove what nothing names; then what a quota asks for, and exit status 1 if still above."""
    removed = clean(store)
    most = quota(options.quota)
    document = {"freed_bytes": removed.freed, "results": removed.results}
    text = f"freed {size(removed.freed)}"
    above = False
    if most is not None:
        more = make_room(store, most)
        assert more.left is not None
        freed, results = removed.freed + more.freed, removed.results + more.results
        document = {
            "freed_bytes": freed,
            "results": results,
            "bytes": more.left,
            "quota": most,
        }
        text = f"freed {size(freed)}; the store has {size(more.left)} of {size(most)}"
        above = more.left > most
        if above:
            text += "\nruns name the rest: remove the folders of those you do not need, then gc"
    emit(options, document, text)
    return 1 if above else 0
