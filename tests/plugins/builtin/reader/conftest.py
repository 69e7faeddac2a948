"""What the tests of readers share: a registry, a way to read files, and the real data."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from khichdi.plugins import Drop, SourceFile
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
def read_all() -> Callable[..., tuple[Rows, list[Drop]]]:
    """Return `read_all(reader, params, *files)`: rows and drops, through the registry."""
    registry = load_registry()

    def read_all(name: str, params: dict[str, Any], *files: Path) -> tuple[Rows, list[Drop]]:
        reader = registry.create("reader", name, params)
        found = list(reader.read([SourceFile(file.name, file) for file in files]))
        drops = [item for item in found if isinstance(item, Drop)]
        rows = [row for item in found if not isinstance(item, Drop) for row in item.to_pylist()]
        return rows, drops

    return read_all


@pytest.fixture(scope="session")
def read(read_all: Callable[..., tuple[Rows, list[Drop]]]) -> Callable[..., Rows]:
    """Return `read(reader, params, *files)`: the rows, where nothing is dropped."""

    def read(name: str, params: dict[str, Any], *files: Path) -> Rows:
        rows, drops = read_all(name, params, *files)
        assert drops == []
        return rows

    return read
