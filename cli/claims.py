"""Opens what is to be audited, signed or verified: a run, or its record."""

from __future__ import annotations

import contextlib
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from pathlib import Path

from ..runtime.audit.claim import Claim, open_claim
from ..runtime.runs import RECORD
from .past import open_run


def claim_argument(parser: ArgumentParser) -> None:
    """Add the run, record or bundle that a command is about."""
    parser.add_argument(
        "run", metavar="RUN", help="a run's name or folder, `latest`, its record.json, or a bundle"
    )


@contextlib.contextmanager
def opened_claim(options: Namespace) -> Iterator[Claim]:
    """Give what is claimed.

    Raises:
        InputError: there is no such run, or one of its documents is damaged; names it.
    """
    given = Path(options.run)
    if given.name == RECORD and given.is_file():
        options = Namespace(**{**vars(options), "run": str(given.parent)})
    past = open_run(options)
    yield open_claim(past.folder, past.folder.resolve().name, (past.store.root,))
