"""Every command warns of what a recipe names that is to go, and works on."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from third_party import forget, install, plugin

from khichdi.cli.main import main

BODY = """
deprecated = "use `where`"

def reasons(self, batch):
    return [None] * batch.num_rows
"""
SOURCE = plugin("filter", BODY).replace(
    '    """No parameters."""',
    '    """Two."""\n\n'
    '    old: int = Field(1, description="Old.", deprecated="use `new`")\n'
    '    new: int = Field(1, description="New.")\n'
    '    gone: int = Field(1, description="Gone.", deprecated=True)\n',
)
RECIPE = """\
extends: quickstart
recipe: 1
mixture:
  filters:
    - use: ill
      old: 2
      gone: 3
"""


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    site = tmp_path / "site"
    site.mkdir()
    install(site, "acme", SOURCE)
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.delenv("KHICHDI_PLUGINS", raising=False)
    monkeypatch.chdir(tmp_path)
    importlib.invalidate_caches()
    path = tmp_path / "mine.yaml"
    path.write_text(RECIPE)
    yield path
    forget("acme")


def test_validate_names_the_place_and_what_to_use(
    recipe: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["validate", "mine.yaml"]) == 0
    out, said = capsys.readouterr()
    assert out == "1 recipe valid\n"
    assert "mine.yaml:5:12: filter `ill` is deprecated and will go" in said
    assert "^^^ use `where`" in said
    assert "mine.yaml:6:7: `old` of filter `ill` is deprecated and will go" in said
    assert "^^^ use `new`" in said
    assert "mine.yaml:7:7: `gone` of filter `ill` is deprecated and will go\n" in said
    assert said.endswith("3 warnings in 1 recipe\n")


def test_scripts_are_given_the_same(recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["validate", "mine.yaml", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["valid"]
    assert not found["diagnostics"]
    assert [(w["line"], w["code"], w["suggestion"]) for w in found["warnings"]] == [
        (5, "deprecated", "use `where`"),
        (6, "deprecated", "use `new`"),
        (7, "deprecated", None),
    ]


def test_other_commands_say_it_and_work(recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["hash", "mine.yaml"]) == 0
    out, said = capsys.readouterr()
    assert out.startswith("sha256:")
    assert "3 warnings in 1 recipe" in said
    assert main(["hash", "mine.yaml", "--quiet"]) == 0
    assert capsys.readouterr().err == ""
    recipe.write_text(RECIPE.split("mixture")[0])
    assert main(["hash", "mine.yaml"]) == 0
    assert capsys.readouterr().err == ""


def test_editors_and_the_list_know_it(recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema"]) == 0
    definitions = json.loads(capsys.readouterr().out)["$defs"]
    parameters = definitions["filter.ill"]["properties"]
    assert parameters["old"]["deprecated"]
    assert "deprecated" not in parameters["new"]
    assert "Deprecated. Do what no plugin should." in str(definitions["filter"])
    assert main(["plugins", "show", "filter/ill"]) == 0
    assert "\ndeprecated: use `where`\n" in capsys.readouterr().out
