"""Which mirror a command asks: `--mirror`, else KHICHDI_MIRROR, else the user's settings."""

from __future__ import annotations

import os
import tomllib
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from ..schema.errors import InputError

if TYPE_CHECKING:
    from ..runtime.mirror import Mirror

VARIABLE = "KHICHDI_MIRROR"


def mirror_argument(parser: ArgumentParser) -> None:
    """Add the mirror that stands in for the hub, git servers and the web."""
    parser.add_argument(
        "--mirror", metavar="WHERE", help="a folder or address to bring all sources from instead"
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
        where = _setting()
    if not where:
        return None
    from ..runtime.mirror import Mirror

    return Mirror(where)


def _setting() -> str | None:
    """Return `mirror` of `khichdi/config.toml` in the user's configuration folder."""
    home = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    path = Path(home) / "khichdi" / "config.toml"
    if not path.is_file():
        return None
    try:
        value = tomllib.loads(path.read_text(encoding="utf-8")).get("mirror")
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"not TOML: {error}", file=str(path)) from None
    if value is not None and not isinstance(value, str):
        raise InputError("`mirror` is a folder or an address, in quotes", file=str(path))
    return value
