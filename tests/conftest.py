"""Fixtures that every folder of tests shares."""

from __future__ import annotations

from hypothesis import settings

# Tests never fail by the clock, and the same examples are tried everywhere.
settings.register_profile("khichdi", deadline=None, derandomize=True, database=None)
settings.load_profile("khichdi")
