"""What the tests of readers share: a registry, a way to read files, and the real data."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from khichdi.plugins import SourceFile
from khichdi.plugins.registry import load_registry

Rows = list[dict[str, Any]]


@pytest.fixture(scope="session")
def real() -> Path:
    """Return the folder of real public data."""
    folder = os.environ.get("KHICHDI_TEST_DATA")
    if not folder:
        pytest.skip("KHICHDI_TEST_DATA is not set: no real data to read")
    return Path(folder)


@pytest.fixture(scope="session")
def read() -> Callable[..., Rows]:
    """Return `read(reader, params, *files)`: the rows, through the registry."""
    registry = load_registry()

    def read(name: str, params: dict[str, Any], *files: Path) -> Rows:
        reader = registry.create("reader", name, params)
        inputs = [SourceFile(file.name, file) for file in files]
        return [row for batch in reader.read(inputs) for row in batch.to_pylist()]

    return read
