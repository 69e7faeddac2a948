"""Fixtures that every folder of tests shares."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from hypothesis import settings
from tiers import is_campaign, is_fast, may_be_fast

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


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Skip the import of modules without a fast test when only fast tests are wanted."""
    wanted = config.option.markexpr != "fast" or collection_path.suffix != ".py"
    return None if wanted or may_be_fast(collection_path) else True


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark fast tests and campaigns, where the choice of tests asks for these marks."""
    for name, belongs in {"fast": is_fast, "campaign": is_campaign}.items():
        for item in items if name in config.option.markexpr else ():
            if isinstance(item, pytest.Function) and belongs(item):
                item.add_marker(name)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail a run of fast tests that loaded torch."""
    if session.config.option.markexpr == "fast" and "torch" in sys.modules:
        raise pytest.UsageError("a test marked `fast` imports torch")
