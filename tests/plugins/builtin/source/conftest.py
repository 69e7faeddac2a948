"""What the tests of sources share: pin and fetch as the run does, and a hub."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from khichdi.plugins import Pin
from khichdi.plugins.registry import load_registry
from khichdi.schema.digest import file_sha256

_SPEC = importlib.util.spec_from_file_location("hub", Path(__file__).parents[3] / "hub.py")
assert _SPEC is not None
assert _SPEC.loader is not None
hub_module = importlib.util.module_from_spec(_SPEC)
sys.modules["hub"] = hub_module
_SPEC.loader.exec_module(hub_module)


def create(name: str, **params: Any) -> Any:
    return load_registry().create("source", name, params)


@pytest.fixture
def make() -> Callable[..., Any]:
    """Return `make(source, **params)`: a source, through the registry."""
    return create


@pytest.fixture
def fetch(tmp_path: Path) -> Callable[..., dict[str, bytes]]:
    """Return `fetch(source, pin, folder)`: the bytes of each file, and nothing else arrived."""

    def fetch(source: Any, pin: Pin, folder: Path = tmp_path) -> dict[str, bytes]:
        into = tmp_path / "fetched"
        into.mkdir()
        source.fetch(pin, folder, into)
        there = {p.relative_to(into).as_posix() for p in into.rglob("*") if not p.is_dir()}
        assert there == {file.path for file in pin.files}
        return {name: (into / name).read_bytes() for name in sorted(there)}

    return fetch


@pytest.fixture
def matches(tmp_path: Path) -> Callable[[Pin], bool]:
    """Return `matches(pin)`: whether what was fetched are the pinned bytes, as the run checks."""

    def matches(pin: Pin) -> bool:
        into = tmp_path / "fetched"
        return all(
            (into / file.path).stat().st_size == file.size
            and file_sha256(into / file.path) == file.sha256
            for file in pin.files
        )

    return matches


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Any]:
    """Yield a hub on this machine that the client is pointed to, with no login."""
    with hub_module.Hub() as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        monkeypatch.delenv("HF_TOKEN", raising=False)
        yield server
