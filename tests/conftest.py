"""Fixtures that every folder of tests shares."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

from khichdi.plugins.toolkit.torch_environment import before_torch

# Tests never fail by the clock, and the same examples are tried everywhere.
settings.register_profile("khichdi", deadline=None, derandomize=True, database=None)
settings.load_profile("khichdi")
# Before any test imports torch. Several run side by side, where no thread is to spin.
os.environ.setdefault("GOMP_SPINCOUNT", "0")
before_torch()


@pytest.fixture(scope="session")
def tiny_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a miniature Mistral: safetensors, config and tokenizer."""
    from miniature import make_base

    return make_base(tmp_path_factory.mktemp("tiny-base"))
