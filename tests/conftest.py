"""Fixtures that every folder of tests shares."""

from __future__ import annotations

import os
from collections.abc import Generator
from pathlib import Path

import pytest
from hypothesis import settings
from tiers import Weight, is_campaign, is_fast, may_be_fast

from khichdi.plugins.toolkit.torch_environment import before_torch

# Tests never fail by the clock, and the same examples are tried everywhere.
settings.register_profile("khichdi", deadline=None, derandomize=True, database=None)
settings.register_profile("fast", settings.get_profile("khichdi"), max_examples=25)
settings.load_profile("khichdi")
# Before any test imports torch. Several run side by side, where no thread is to spin.
os.environ.setdefault("GOMP_SPINCOUNT", "0")
before_torch()
WEIGHT = pytest.StashKey[Weight]()


@pytest.fixture(scope="session")
def tiny_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a miniature Mistral: safetensors, config and tokenizer."""
    from miniature import make_base

    return make_base(tmp_path_factory.mktemp("tiny-base"))


def pytest_configure(config: pytest.Config) -> None:
    """Generate a quarter of the examples where only fast tests are wanted."""
    if config.option.markexpr == "fast":
        settings.load_profile("fast")


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


def pytest_collection_finish(session: pytest.Session) -> None:
    """Note what was loaded before the first test."""
    session.stash[WEIGHT] = Weight.now()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Fail a fast test that loads a heavy library or runs another process."""
    result = yield
    if item.get_closest_marker("fast"):
        before, now = item.session.stash[WEIGHT], Weight.now()
        item.session.stash[WEIGHT] = now
        loaded = ", ".join(sorted(now.libraries - before.libraries))
        if now != before:
            did = f"loads {loaded}" if loaded else "runs another process"
            pytest.fail(f"a test that is marked `fast` {did}: mark it `heavy`")
    return result
