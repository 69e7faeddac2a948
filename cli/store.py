"""Show, verify, repair and clean up the store.

`verify` hashes every byte; `repair` restores or removes damaged files; `gc` removes unreferenced
files, and with `--quota` also the least recently used results.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from dataclasses import asdict
from typing import TYPE_CHECKING

from ..project.mirrors import open_mirror
from ..project.quota import quota
from ..project.store_upkeep import collect_garbage, open_store, repair_store, usage, verify
from ..schema.errors import InputError
from .arguments import mirror_argument
from .output import emit, size

if TYPE_CHECKING:
    from ..runtime.store.store import Store


def arguments(parser: ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument(
        "action", nargs="?", choices=("status", "verify", "repair", "gc"), default="status"
    )
    parser.add_argument(
        "--quota",
        metavar="SIZE",
        help=(
            "with gc: delete results that no run refers to, least recently used first, until the "
            "store is smaller than this (200GiB, 1.5TB)"
        ),
    )
    mirror_argument(parser)


def run(options: Namespace) -> int:
    """Do the action."""
    if options.quota is not None and options.action != "gc":
        raise InputError("--quota goes with `recipe store gc`")
    store = open_store(options.store)
    actions = {"status": _status, "verify": _verify, "repair": _repair, "gc": _gc}
    return actions[options.action](store, options)


def _status(store: Store, options: Namespace) -> int:
    used = usage(store)
    most = quota(None)
    document = {
        "store": str(store.root),
        "steps": used.results,
        "artifacts": used.artifacts,
        "bytes": used.size,
        "quota": most,
    }
    text = f"{store.root}: {used.results} steps, {used.artifacts} artifacts, {size(used.size)}"
    text += "" if most is None else f", quota {size(most)}"
    emit(options, document, text)
    return 0


def _verify(store: Store, options: Namespace) -> int:
    """Hash everything; print damaged artifacts, and exit with status 1 where there are any."""
    found = verify(store)
    count = len(found.damaged)
    text = "\n".join([*found.damaged, f"{found.results} steps checked, {count} damaged"])
    if found.damaged:
        text += "\nnext: recipe store repair restores what it can, and removes the rest"
    emit(options, {"steps": found.results, "damaged": found.damaged}, text)
    return 1 if found.damaged else 0


def _repair(store: Store, options: Namespace) -> int:
    """Repair or remove damaged artifacts; print each with its repair."""
    repaired = repair_store(store, open_mirror(options.mirror))
    lines = [f"{one.step}: {one.what}, {one.how}" for one in repaired]
    removed = sum(one.what == "removed" for one in repaired)
    lines.append(f"{len(repaired)} damaged, {len(repaired) - removed} put right, {removed} removed")
    emit(options, {"repaired": [asdict(one) for one in repaired]}, "\n".join(lines))
    return 0


def _gc(store: Store, options: Namespace) -> int:
    """Remove unreferenced results, then those over the quota; exit status 1 if still above."""
    most = quota(options.quota)
    found = collect_garbage(store, most)
    document = {"freed_bytes": found.freed, "results": found.results}
    if most is None or found.left is None:
        emit(options, document, f"freed {size(found.freed)}")
        return 0
    text = f"freed {size(found.freed)}; the store has {size(found.left)} of {size(most)}"
    above = found.left > most
    if above:
        text += "\nruns name the rest: remove the folders of those you do not need, then gc"
    emit(options, document | {"bytes": found.left, "quota": most}, text)
    return int(above)
