"""Open the target of an audit, a signature or a verification: a run, its record, or a bundle."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from ..runtime.audit.audited_run import Claim, open_claim
from ..runtime.bundle.read import unpacked
from ..runtime.store.runs import RECORD
from ..runtime.store.store import Store
from .run_lookup import open_run
from .session import store_folder


def is_bundle(path: Path) -> bool:
    """Return whether a path is that of a file which is not a run's record."""
    return path.is_file() and path.name != RECORD


@contextlib.contextmanager
def open_target(
    run: str | Path, *, store: str | Path | None = None, scratch: str | Path | None = None
) -> Iterator[Claim]:
    """Yield the claim of a run or bundle.

    Args:
        run: a run's name or folder, `latest`, its record.json, or a bundle.
        store: the store's folder; left out, found as `store_folder` says.
        scratch: where a bundle is unpacked meanwhile.

    Raises:
        InputError: there is no such run, or one of its documents is damaged; names it.
    """
    given = Path(run)
    if is_bundle(given):
        root = Store(store_folder(store)).root
        with unpacked(given, str(scratch) if scratch else None) as (folder, _):
            # What a bundle leaves out may be in the auditor's own store; it is hashed all the same.
            yield open_claim(folder, given.name, (folder, root))
        return
    if given.name == RECORD and given.is_file():
        run = given.parent
    past = open_run(run, store=store)
    yield open_claim(past.folder, past.folder.resolve().name, (past.store.root,))
