"""Hold the store's quota: the given one, else KHICHDI_STORE_QUOTA, else the user's settings."""

from __future__ import annotations

import os
import re

from ..runtime.store.gc_and_verify import make_room
from ..schema.errors import InputError, StoreError
from ..schema.estimate import Disk
from .observer import Observer
from .session import Session
from .settings import user_setting
from .units import size

VARIABLE = "KHICHDI_STORE_QUOTA"
UNITS = {"": 0, "K": 1, "M": 2, "G": 3, "T": 4}
_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]?)(I?)B?\s*", re.ASCII)


def quota(chosen: str | None) -> int | None:
    """Return the quota in bytes, or None where none is set.

    Raises:
        InputError: it is not a size, or the settings cannot be read.
    """
    text = chosen if chosen is not None else os.environ.get(VARIABLE)
    if text is None:
        text = user_setting("quota", "a size such as 200GiB")
    return _bytes(text) if text else None


def make_room_for(session: Session, disk: Disk | None, observer: Observer) -> None:
    """Make room for a run in a store that has a quota; send a notice where that changes anything.

    What no run names and this plan does not use is dropped. A run is never refused for a quota:
    its size is an estimate, and files of runs are for the user to remove.

    Raises:
        InputError: the quota is not a size.
    """
    most = quota(None)
    if most is None:
        return
    coming = _coming(disk)
    keep = frozenset(step.key for step in session.compiled.plan.steps)
    try:
        removed = make_room(session.store, most, coming, keep)
    except StoreError as error:
        observer.notice(f"the store's quota is not looked at: {error.message}")
        return
    if removed.freed:
        observer.notice(f"freed {size(removed.freed)} for the store's quota")
    assert removed.left is not None
    if removed.left + coming > most:
        observer.notice(
            f"the store has {size(removed.left)} and this run adds about {size(coming)}: above "
            f"its quota of {size(most)}; remove runs that you do not need, then `recipe store gc`"
        )


def _coming(disk: Disk | None) -> int:
    if disk is None:
        return 0
    parts = (disk.fetch, disk.rows, disk.checkpoints, disk.adapter)
    return sum(part or 0 for part in parts)


def _bytes(text: str) -> int:
    """Return a size in bytes: `200GiB`, `1.5 TB`, `1000`."""
    found = _SIZE.fullmatch(text.upper())
    if found is None:
        raise InputError(f"{text!r} is not a size", hint="write one as 200GiB, 1.5TB or 500MB")
    number, unit, binary = found.groups()
    return int(float(number) * (1024 if binary else 1000) ** UNITS[unit])
