"""A plugin file from the recipe to the audit: locked, run, bundled, and never run unasked."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from khichdi.cli.main import main

from .conftest import Workdir, make_workdir

FILE = '''\
import os
from pathlib import Path

from khichdi.plugins import Filter, Params, Row

if "MARK" in os.environ:
    Path(os.environ["MARK"]).touch()


class NoThrees(Filter[Params]):
    """Drop rows about a number with a three."""

    name = "no-threes"

    def reason(self, row: Row) -> str | None:
        return "has-a-three" if "3" in row["input"] else None
'''
STEP = "data/capitals/filter/no-threes"


def call(workdir: Workdir, *words: str) -> tuple[int, Any]:
    """Run a command in this process; return its status and its document."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.chdir(workdir.folder):
        status = main([*words, "--json", "--store", str(workdir.folder / "store")])
    return status, json.loads(out.getvalue())


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory, tiny_base: Path) -> tuple[Workdir, Any]:
    """Return a workdir whose recipe names a plugin file and ran once; copy it to change it."""
    workdir = make_workdir(tmp_path_factory.mktemp("local") / "workdir", tiny_base)
    (workdir.folder / "mine.py").write_text(FILE)
    workdir.edit("seed: 5\n", "seed: 5\nplugins: [./mine.py]\n")
    workdir.edit("below: 6}\n", "below: 6}\n      - {use: no-threes}\n")
    workdir.edit("num_epochs: 3", "num_epochs: 1")
    workdir.edit(workdir.recipe.read_text().partition("evaluate:")[2], " []\n")
    status, document = call(workdir, "run", "pico.yaml")
    assert status == 0, document
    return workdir, document


@pytest.fixture
def own_run(ran: tuple[Workdir, Any], tmp_path: Path) -> Workdir:
    shutil.copytree(ran[0].folder, tmp_path / "workdir")
    return Workdir(tmp_path / "workdir")


@pytest.fixture
def packed(ran: tuple[Workdir, Any], tmp_path: Path) -> Path:
    status, document = call(ran[0], "bundle", "latest", "-o", str(tmp_path / "pico.bundle"))
    assert status == 0
    assert "recipe/mine.py" in document["files"]
    return tmp_path / "pico.bundle"


@pytest.fixture
def mark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the path of a file that appears when a plugin file is run."""
    monkeypatch.setenv("MARK", str(tmp_path / "mark"))
    return tmp_path / "mark"


def levels(document: Any) -> dict[str, Any]:
    return {level["level"]: level for level in document["levels"]}


def test_the_lock_and_the_record_name_the_file(ran: tuple[Workdir, Any]) -> None:
    workdir, document = ran
    run = Path(document["run"])
    (entry,) = [p for p in json.loads((workdir.folder / "pico.lock").read_text())["plugins"]
                if p.get("local")]  # fmt: skip
    record = json.loads((run / "record.json").read_text())
    assert entry["name"] == "mine.py"
    assert entry in record["plugins"]
    assert {"path": "mine.py", "sha256": entry["files"]} in record["files"]
    assert (run / "recipe" / "mine.py").read_text() == FILE
    steps = json.loads((run / "plan.json").read_text())["steps"]
    assert [s["name"] for s in steps if "file" in s["plugin"]] == [STEP]


def test_a_changed_file_is_refused_by_name_and_reruns_its_steps_alone(own_run: Workdir) -> None:
    (own_run.folder / "mine.py").write_text(FILE + "\n# changed\n")
    for command in ("run", "plan", "lock"):
        status, document = call(own_run, command, "pico.yaml")
        assert status == 2
        assert document["error"]["message"].startswith("mine.py is not the plugin file that was")
        assert "--update mine.py" in document["error"]["hint"]
    assert call(own_run, "lock", "pico.yaml", "--update", "mine.py")[0] == 0
    status, document = call(own_run, "plan", "pico.yaml")
    found = {step["name"]: step for step in document["steps"]}
    assert status == 0
    assert found[STEP]["status"] == "to-run"
    assert found[STEP]["why"] == "its plugin file"
    for name in ("base", "data/capitals/filter/max-words", "data/colours/sample"):
        assert found[name]["status"] == "cached", name


def test_a_bundle_is_not_run_without_consent(packed: Path, ran: Any, mark: Path) -> None:
    _, document = call(ran[0], "audit", str(packed))
    recipe = levels(document)["recipe"]
    assert recipe["verdict"] == "unverifiable"
    assert recipe["detail"].startswith("its plugin is the file mine.py, sha256:")
    assert recipe["detail"].endswith("; --allow-local-plugins runs it")
    assert levels(document)["environment"]["verdict"] == "identical"
    _, document = call(ran[0], "audit", str(packed), "--rerun")
    data = levels(document)["data"]
    assert data["verdict"] == "unverifiable"
    assert data["detail"].startswith(f"{STEP} could not be executed here: its plugin is the file")
    assert not mark.exists()


def test_a_bundle_is_run_again_with_consent(packed: Path, ran: Any, mark: Path) -> None:
    words = ("audit", str(packed), "--rerun", "--allow-local-plugins")
    _, document = call(ran[0], *words)
    found = {name: level["verdict"] for name, level in levels(document).items()}
    assert mark.exists()
    assert set(found.values()) == {"identical"}, document


def test_a_run_is_compared_by_its_own_file_with_consent_only(own_run: Workdir) -> None:
    run = next((own_run.folder / "store" / "runs").iterdir()).name
    status, document = call(own_run, "diff", run, "pico.yaml")
    assert status == 2
    assert "--allow-local-plugins" in document["error"]["message"]
    assert call(own_run, "diff", run, "pico.yaml", "--allow-local-plugins")[0] == 0
    (own_run.folder / "mine.py").write_text(FILE + "\n# changed\n")
    status, document = call(own_run, "diff", run, "pico.yaml", "--allow-local-plugins")
    assert status == 1
    assert [change["path"] for change in document["changes"]] == [f"plugin file of {STEP}"]


def test_nothing_personal_leaves_in_a_plugin_file(own_run: Workdir, tmp_path: Path) -> None:
    (own_run.folder / "mine.py").write_text(FILE + "\n# see /home/birbal/notes\n")
    assert call(own_run, "lock", "pico.yaml", "--update", "mine.py")[0] == 0
    assert call(own_run, "run", "pico.yaml")[0] == 0
    status, document = call(own_run, "bundle", "latest", "-o", str(tmp_path / "bundle"))
    assert status == 2
    assert document["error"]["message"].startswith("recipe/mine.py, line 18: a folder of a person")


def test_a_rehearsal_runs_it_before_it_is_locked(own_run: Workdir) -> None:
    (own_run.folder / "mine.py").write_text(FILE.replace('"3" in', "1 / 0 in"))
    status, document = call(own_run, "rehearse", "pico.yaml")
    assert status == 3
    assert f"{STEP} (filter `no-threes` of mine.py " in document["error"]["message"]
    assert "ZeroDivisionError" in document["error"]["message"]
