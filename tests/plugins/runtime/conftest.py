"""Trainings for the tests of this folder."""

from __future__ import annotations

from pathlib import Path

import pytest
from trainings import Once


@pytest.fixture
def once(tiny_base: Path, tmp_path: Path) -> Once:
    return Once(tiny_base, tmp_path)
