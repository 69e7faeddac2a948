"""Read the user's settings: `khichdi/config.toml` in the user's configuration folder."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path

from ..schema.errors import InputError


def user_setting(name: str, what: str) -> str | None:
    """Return a setting as text, or None where it is not set.

    Args:
        name: its key in the file.
        what: its description, for the error where it is not text.

    Raises:
        InputError: the settings cannot be read.
    """
    path = settings_file()
    if not path.is_file():
        return None
    try:
        value = tomllib.loads(path.read_text(encoding="utf-8")).get(name)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"not TOML: {error}", file=str(path)) from None
    if value is not None and not isinstance(value, str):
        raise InputError(f"`{name}` is {what}, in quotes", file=str(path))
    return value


def settings_file() -> Path:
    """Return the path of the user's settings, whether or not the file is there."""
    home = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(home) / "khichdi" / "config.toml"
