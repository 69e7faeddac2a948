"""Set the number of worker processes: the given one, else KHICHDI_WORKERS, else one per core.

It changes when a result is there and never the result itself, so it is in no recipe and in no key.
"""

from __future__ import annotations

import os

from ..schema.errors import InputError

VARIABLE = "KHICHDI_WORKERS"


def use_workers(workers: int | str | None) -> None:
    """Set the number for the steps of this process and of those it starts; None changes nothing.

    Raises:
        InputError: it is not a whole number above 0.
    """
    if workers is None:
        return
    text = str(workers)
    if not text.isdecimal() or int(text) < 1:
        raise InputError(
            f"--workers is `{text}`; a whole number from 1 on was expected",
            hint="leave it out to use every core",
        )
    os.environ[VARIABLE] = text
