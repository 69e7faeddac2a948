"""The fixtures of whole runs, for the campaigns too."""

from __future__ import annotations

from ..flow.conftest import own_run, shared_run, workdir

__all__ = ["own_run", "shared_run", "workdir"]
