"""The fixtures of whole runs, for the campaigns too."""

from __future__ import annotations

from ..flow.conftest import cooked, kitchen, warm

__all__ = ["cooked", "kitchen", "warm"]
