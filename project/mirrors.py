"""Choose the mirror: the given one, else KHICHDI_MIRROR, else the user's settings."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from .settings import user_setting

if TYPE_CHECKING:
    from ..runtime.sources.mirror import Mirror

VARIABLE = "KHICHDI_MIRROR"


def open_mirror(where: str | None = None) -> Mirror | None:
    """Return the mirror, or None where none is set; an empty one in a nearer place means none.

    Raises:
        InputError: there is no such folder, or the settings cannot be read.
    """
    if where is None:
        where = os.environ.get(VARIABLE)
    if where is None:
        where = user_setting("mirror", "a folder or an address")
    if not where:
        return None
    from ..runtime.sources.mirror import Mirror

    return Mirror(where)
