"""Choose the mirror: `--mirror`, else KHICHDI_MIRROR, else the user's settings."""

from __future__ import annotations

import os
from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING

from .config import user_setting

if TYPE_CHECKING:
    from ..runtime.sources.mirror import Mirror

VARIABLE = "KHICHDI_MIRROR"


def mirror_argument(parser: ArgumentParser) -> None:
    """Add the mirror that stands in for the hub, git servers and the web."""
    parser.add_argument(
        "--mirror", metavar="WHERE", help="a folder or URL to fetch all sources from instead"
    )


def open_mirror(options: Namespace) -> Mirror | None:
    """Return the mirror, or None where none is set; an empty one in a nearer place means none.

    Raises:
        InputError: there is no such folder, or the settings cannot be read.
    """
    where = options.mirror
    if where is None:
        where = os.environ.get(VARIABLE)
    if where is None:
        where = user_setting("mirror", "a folder or an address")
    if not where:
        return None
    from ..runtime.sources.mirror import Mirror

    return Mirror(where)
