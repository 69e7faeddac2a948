"""Validate file names that are safe to share."""

from __future__ import annotations

import re

PATH = re.compile(r"^[^\x00-\x1f\x7f/\\:<>\"|?*]{1,200}$")
"""A name of a file or folder that every system can hold."""


def inside(path: str) -> bool:
    """Return whether a path stays below the folder that it is seen from, on every system."""
    parts = path.split("/")
    plain = all(PATH.match(part) and part.rstrip(" .").lstrip() == part for part in parts)
    return plain and not path.startswith("~") and len(path) <= 1000 and path.isprintable()
