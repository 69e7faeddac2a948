"""The recipe that is shown is compiled again: the report says what was, or what is missing."""

from __future__ import annotations

from typing import Any

import pytest

from khichdi.plugins.builtin.filter.word_counts import MaxWords
from khichdi.plugins.registry import Registry

from .conftest import Workdir
from .segment_audits import audit, level

Ran = tuple[Workdir, Any]


def test_a_plugin_of_another_version_makes_the_recipe_unverifiable(
    shared_run: Ran, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(MaxWords, "version", 99)
    found = audit(shared_run[0], "latest")
    recipe = level(found, "recipe")
    assert recipe["verdict"] == "unverifiable"
    assert "version 2 of filter `max-words`, version 99 is installed" in recipe["detail"]
    assert found["verdict"] == "unverifiable"


def test_a_plugin_that_is_not_installed_makes_the_recipe_unverifiable(
    shared_run: Ran, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = Registry.names

    def without(self: Registry, kind: str) -> Any:
        return [name for name in names(self, kind) if name != "max-words"]

    monkeypatch.setattr(Registry, "names", without)
    found = audit(shared_run[0], "latest")
    recipe = level(found, "recipe")
    assert recipe["verdict"] == "unverifiable"
    assert "filter `max-words`, which is not installed" in recipe["detail"]


def test_the_report_names_the_files_and_settings_that_were_compiled(own_run: Ran) -> None:
    workdir, _ = own_run
    (workdir.folder / "child.yaml").write_text("recipe: 1\nname: child\nextends: pico.yaml\n")
    workdir.json("run", "child.yaml", "--set", "train.learning_rate=0.001")
    found = level(audit(workdir, "latest", "--level", "recipe"), "recipe")
    assert (found["verdict"], found["basis"]) == ("identical", "derived")
    assert found["detail"] == (
        "compiled again from child.yaml, pico.yaml with --set train.learning_rate=0.001"
    )
