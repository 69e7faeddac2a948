"""Fixtures for all tests."""

from __future__ import annotations

from pathlib import Path

import pytest
from khichdi.plugins.threads import wait_without_spinning

wait_without_spinning()  # before any test imports torch; several may run side by side


@pytest.fixture(scope="session")
def tiny_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a miniature Mistral: safetensors, config and tokenizer."""
    from miniature import make_base

    return make_base(tmp_path_factory.mktemp("tiny-base"))
