"""Opens what is to be audited, signed or verified: a run, its record, or a bundle."""

from __future__ import annotations

import contextlib
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from pathlib import Path

from ..runtime.audit.audited_run import Claim, open_claim
from ..runtime.bundle.read import check_contents, unpacked
from ..runtime.store.runs import RECORD
from ..runtime.store.store import Store
from .past import open_run
from .session import store_folder


def claim_argument(parser: ArgumentParser) -> None:
    """Add the run, record or bundle that a command is about."""
    parser.add_argument(
        "run", metavar="RUN", help="a run's name or folder, `latest`, its record.json, or a bundle"
    )


def is_bundle(path: Path) -> bool:
    """Return whether a name is that of a file which is no run's record."""
    return path.is_file() and path.name != RECORD


@contextlib.contextmanager
def opened_claim(options: Namespace) -> Iterator[Claim]:
    """Give what is claimed.

    Raises:
        InputError: there is no such run, or one of its documents is damaged; names it.
    """
    given = Path(options.run)
    if is_bundle(given):
        store = Store(store_folder(options)).root
        with unpacked(given, getattr(options, "scratch", None)) as (folder, contents):
            # The auditor's own store may have what a bundle leaves out; it is hashed all the same.
            claim = open_claim(folder, given.name, (folder, store))
            check_contents(contents, claim)
            yield claim
        return
    if given.name == RECORD and given.is_file():
        options = Namespace(**{**vars(options), "run": str(given.parent)})
    past = open_run(options)
    yield open_claim(past.folder, past.folder.resolve().name, (past.store.root,))
