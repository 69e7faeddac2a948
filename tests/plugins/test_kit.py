"""The conformance kit fails what it says it fails, each plugin by the test that is about it."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from third_party import forget, plugin

from khichdi.plugins.testing import PluginTests, Skipped, kit_for

pytestmark = pytest.mark.heavy  # the kit imports each plugin in a process of its own

KEPT = "    return [None] * batch.num_rows"
CALL = "import socket; s = socket.socket(); s.settimeout(1); s.connect_ex(('127.0.0.1', 9))"
FAILED: dict[str, tuple[str, str, str, str]] = {
    "clock": (
        "filter",
        f"def reasons(self, batch):\n    time.time()\n{KEPT}",
        "test_",
        "a filter may not read the clock: time() in line",
    ),
    "date": (
        "filter",
        f"def reasons(self, batch):\n    import datetime\n    datetime.datetime.now()\n{KEPT}",
        "test_",
        "a filter may not read the clock: now() in line",
    ),
    "environment": (
        "filter",
        f"def reasons(self, batch):\n    os.environ.get('HOME')\n{KEPT}",
        "test_",
        "a filter may not read the environment: in line",
    ),
    "network": (
        "filter",
        f"def reasons(self, batch):\n    {CALL}\n{KEPT}",
        "test_",
        "a filter may not read the network: socket.connect ('127.0.0.1', 9)",
    ),
    "network in a thread": (
        "filter",
        "def reasons(self, batch):\n    import threading\n"
        f"    def call():\n        {CALL}\n"
        f"    t = threading.Thread(target=call); t.start(); t.join()\n{KEPT}",
        "test_",
        "a filter may not read the network: socket.connect",
    ),
    "network of a scorer": (
        "scorer",
        f"def score(self, job):\n    {CALL}\n    return Scores([0.5] * job.rows.num_rows)",
        "test_scores",
        "a scorer may not read the network: socket.connect",
    ),
    "network of an evaluator": (
        "evaluator",
        f"def evaluate(self, job):\n    {CALL}\n    return EvaluationResult({{'share': 0.5}}, [])",
        "test_measures",
        "an evaluator may not read the network: socket.connect",
    ),
    "order": (
        "filter",
        "def reasons(self, batch):\n"
        "    return [None if n % 2 else 'even' for n in range(batch.num_rows)]",
        "test_",
        "",
    ),
    "drop without a reason": (
        "filter",
        "def reasons(self, batch):\n    return [''] * batch.num_rows",
        "test_",
        "",
    ),
    "other scores each time": (
        "scorer",
        "def score(self, job):\n    n = type(self).n = getattr(type(self), 'n', 0) + 1\n"
        "    return Scores([float(n)] * job.rows.num_rows)",
        "test_scores",
        "other scores",
    ),
}


def kit(module: Any) -> PluginTests:
    """Return the kit of the plugin of a module."""
    cls: type[PluginTests] = kit_for(module.Ill.kind)
    made: PluginTests = type("Kit", (cls,), {"plugin": module.Ill})()
    return made


def failures(tests: PluginTests, start: str = "test_") -> dict[str, str]:
    """Return what fails, by test."""
    found = {}
    for name in (name for name in dir(tests) if name.startswith(start)):
        try:
            getattr(tests, name)()
        except Skipped:
            continue
        except Exception as error:
            found[name] = str(error)
    return found


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return a folder that Python imports from."""
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    forget("ill")
    importlib.invalidate_caches()


def load(site: Path, source: str) -> Any:
    (site / "ill.py").write_text(source)
    importlib.invalidate_caches()
    forget("ill")
    return importlib.import_module("ill")


@pytest.mark.parametrize("what", FAILED)
def test_what_breaks_a_promise_fails(what: str, site: Path) -> None:
    kind, body, tests, words = FAILED[what]
    found = failures(kit(load(site, plugin(kind, body))), tests)
    assert found, "nothing failed"
    assert any(words in text for text in found.values()), found


def test_an_honest_filter_fails_nothing(site: Path) -> None:
    body = f"def reasons(self, batch):\n{KEPT}"
    assert failures(kit(load(site, plugin("filter", body)))) == {}


def test_a_heavy_import_fails(site: Path) -> None:
    source = plugin("filter", f"def reasons(self, batch):\n{KEPT}").replace(
        "import os,", "import numpy, os,", 1
    )
    found = failures(kit(load(site, source)), "test_imports")
    assert list(found.values()) == ["importing ill imports numpy: do so inside a method"]


def test_a_helper_that_changes_asks_for_another_version(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The record covers what a plugin imports from its own package, comments and docs apart."""
    package = site / "illpack"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "words.py").write_text("WORDS = 3\n")
    (package / "other.py").write_text("X = 1\n")
    body = f"def reasons(self, batch):\n    from .words import WORDS\n{KEPT}"
    (package / "main.py").write_text(plugin("filter", body))
    importlib.invalidate_caches()
    module = importlib.import_module("illpack.main")
    tests = kit(module)
    tests.record = site / "version.json"  # type: ignore[misc]
    monkeypatch.setenv("KHICHDI_RECORD", "1")
    assert failures(tests, "test_version") == {}
    monkeypatch.delenv("KHICHDI_RECORD")
    (package / "words.py").write_text('"""Words."""\n\nWORDS = 3  # three\n')
    (package / "other.py").write_text("X = 2\n")
    assert failures(tests, "test_version") == {}
    (package / "words.py").write_text("WORDS = 4\n")
    (message,) = failures(tests, "test_version").values()
    assert "changed and its version is still 1" in message
    forget("illpack", "illpack.main", "illpack.words")
