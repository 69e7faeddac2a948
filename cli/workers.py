"""Choose the number of workers: `--workers`, else KHICHDI_WORKERS, else every core.

It changes when a result is there and never what it is, so it is in no recipe and in no key.
"""

from __future__ import annotations

import os
from argparse import ArgumentParser, Namespace

from ..schema.errors import InputError

VARIABLE = "KHICHDI_WORKERS"


def workers_argument(parser: ArgumentParser) -> None:
    """Add the number of processes that share out the rows of a filter."""
    parser.add_argument(
        "--workers",
        metavar="N",
        help=f"worker processes for filters (default: {VARIABLE}, else one per core); "
        "changes no result",
    )


def use_workers(options: Namespace) -> None:
    """Let the steps of this process, and of those it starts, use so many.

    Raises:
        InputError: it is no whole number above 0.
    """
    if options.workers is None:
        return
    if not options.workers.isdecimal() or int(options.workers) < 1:
        raise InputError(
            f"--workers is `{options.workers}`; a whole number from 1 on was expected",
            hint="leave it out to use every core",
        )
    os.environ[VARIABLE] = options.workers
