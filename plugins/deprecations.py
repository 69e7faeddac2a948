"""Deprecated API names; each works for one more release and warns."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from importlib import import_module
from typing import Any

RENAMED: Mapping[str, str] = {}
"""By the old name in `khichdi.plugins`, the new one. (A hook that is to go carries pluggy's
`warn_on_impl` with an `ApiDeprecationWarning` instead.)"""


class ApiDeprecationWarning(DeprecationWarning):
    """A plugin uses what the next version of the API does not have; the kit fails it."""


def renamed(name: str) -> Any:
    """Return what an old name stands for, with a warning at the line that uses it.

    Raises:
        AttributeError: no such name was ever part of the API.
    """
    if name not in RENAMED:
        raise AttributeError(f"module 'khichdi.plugins' has no attribute {name!r}")
    new = RENAMED[name]
    words = f"khichdi.plugins.{name} is deprecated and will go: use khichdi.plugins.{new}"
    warnings.warn(words, ApiDeprecationWarning, stacklevel=3)
    return getattr(import_module("khichdi.plugins"), new)
