"""Other tools' configurations -> recipes that do the same, and what became of every key."""

from __future__ import annotations

from .convert import FORMATS, Imported, import_config

__all__ = ["FORMATS", "Imported", "import_config"]
