"""From an empty folder to a plugin that errors, completes, caches and is locked as ours are."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from fresh import Fresh, make_fresh

pytestmark = pytest.mark.slow

RECIPE = """\
recipe: 1
name: mine
model:
  base: {use: files, folder: base, include: ["*"]}
  adapter: {use: lora, r: 4}
data:
  mine:
    source: {use: files, include: [rows.jsonl]}
    read: {use: jsonl}
    filters:
      - {use: no-shouting, share: 0.4}
train:
  use: qlora
  template: {use: alpaca}
  sequence_len: 128
  max_steps: 2
  cpu_threads: 1
"""
RECIPE_COLUMN = RECIPE.splitlines()[10].index("share") + 1
EDITS = {
    "Drop rows whose input is mostly in upper case.": "Drop rows that shout.",
    "Return `shouting` where": "Return `too-loud` where",
    "Field(0.5, gt=0, le=1": "Field(0.6, gt=0, le=1",
    '"input"': '"output"',
    '"shouting" if': '"too-loud" if',
}
BEFORE = {"base", "data/mine/source", "data/mine/read"}
"""Steps that do not depend on the filter."""


def edit(file: Path, changes: dict[str, str]) -> None:
    text = file.read_text("utf-8")
    for old, new in changes.items():
        assert old in text, f"{old} is not in {file.name}"
        text = text.replace(old, new)
    file.write_text(text, "utf-8")


def loaded(value: str) -> Any:
    from ruamel.yaml import YAML

    return YAML(typ="safe").load(value)


class Desk:
    """A folder with a fresh environment, a plugin under work and a recipe that uses it."""

    def __init__(self, folder: Path, base: Path) -> None:
        self.folder = folder
        self.fresh: Fresh = make_fresh(folder / "venv", KHICHDI_STORE=str(folder / "store"))
        self.recipe = folder / "mine.yaml"
        self.recipe.write_text(RECIPE)
        shutil.copytree(base, folder / "base")
        rows = [
            {"input": f"Question {n}?", "output": "NO!" if n % 3 == 0 else f"It is {n}."}
            for n in range(12)
        ]
        (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        self.project = folder / "khichdi-no-shouting"
        self.module = self.project / "khichdi_no_shouting" / "plugin.py"

    def make_plugin(self) -> None:
        self.fresh.recipe("plugins", "new", "no-shouting", "--kind", "filter", cwd=self.folder)
        edit(self.module, EDITS)
        self.fresh.install("-e", "./khichdi-no-shouting", cwd=self.folder)

    def tests(self, **variables: str) -> tuple[int, str]:
        fresh = Fresh(self.fresh.folder, {**self.fresh.variables, **variables})
        code, out, err = fresh.call("pytest", "-q", "-p", "no:cacheprovider", cwd=self.project)
        return code, out + err

    def run(self) -> Any:
        return self.fresh.json("run", "mine.yaml", cwd=self.folder)

    def say(self) -> str:
        """Return what a run prints."""
        return self.fresh.recipe("run", "mine.yaml", cwd=self.folder)

    def audited(self) -> Any:
        """Audit the newest run, whose bytes must hold, and return the environment's level."""
        report = self.fresh.json("audit", "latest", cwd=self.folder)
        assert report["verdict"] == "identical", report
        (found,) = (level for level in report["levels"] if level["level"] == "environment")
        return found

    def lock(self) -> dict[str, Any]:
        """Lock, and return what the lock says of the plugin's distribution."""
        self.fresh.recipe("lock", "mine.yaml", cwd=self.folder)
        found = json.loads((self.folder / "mine.lock").read_text())["plugins"]
        (own,) = (plugin for plugin in found if plugin["name"] == "khichdi-no-shouting")
        assert isinstance(own, dict)
        return own


@pytest.fixture
def desk(tmp_path: Path, tiny_base: Path) -> Desk:
    desk = Desk(tmp_path, tiny_base)
    desk.make_plugin()
    return desk


def ran(document: Any) -> set[str]:
    return {step["name"] for step in document["steps"] if step["status"] == "ran"}


def test_from_an_empty_folder_to_a_locked_plugin(desk: Desk) -> None:
    checked = desk.tests(KHICHDI_RECORD="1")
    assert checked[0] == 0, checked[1]
    shown = desk.fresh.recipe("plugins", "show", "no-shouting", cwd=desk.folder)
    assert "Drop rows that shout." in shown
    _validates_and_points(desk)
    _completes(desk)
    first = _runs_and_runs_from_the_store(desk)
    _reruns_for_a_version(desk, first)
    _is_identified(desk)


def _validates_and_points(desk: Desk) -> None:
    assert "1 recipe valid" in desk.fresh.recipe("validate", "mine.yaml", cwd=desk.folder)
    for wrong, column, words in (
        ("share: 4", RECIPE_COLUMN + len("share: "), "more than 0 and at most 1, got 4"),
        ("shre: 0.4", RECIPE_COLUMN, "did you mean `share`?"),
    ):
        desk.recipe.write_text(RECIPE.replace("share: 0.4", wrong))
        said = desk.fresh.recipe("validate", "mine.yaml", cwd=desk.folder, status=2)
        assert said.startswith(f"mine.yaml:11:{column}: "), said
        assert words in said, said
    desk.recipe.write_text(RECIPE)


def _completes(desk: Desk) -> None:
    """The schema that editors complete from knows the plugin, its parameter and its limits."""
    schema = json.loads(desk.fresh.call("khichdi.cli", "schema", cwd=desk.folder)[1])
    validator = jsonschema.Draft202012Validator(schema)
    assert not list(validator.iter_errors(loaded(RECIPE)))
    assert list(validator.iter_errors(loaded(RECIPE.replace("share: 0.4", "share: 4"))))
    assert list(validator.iter_errors(loaded(RECIPE.replace("share: 0.4", "shre: 0.4"))))
    text = json.dumps(schema)
    assert "Drop rows that shout." in text
    assert "Minimum fraction of upper-case characters." in text


def _runs_and_runs_from_the_store(desk: Desk) -> Any:
    first = desk.run()
    assert {step["status"] for step in first["steps"]} == {"ran"}
    drops = desk.fresh.recipe("show-drops", Path(first["run"]).name, cwd=desk.folder)
    assert "too-loud" in drops
    again = desk.run()
    assert ran(again) == set()
    assert again["result_hash"] == first["result_hash"]
    return first


def _reruns_for_a_version(desk: Desk, first: Any) -> None:
    """The kit asks for a new version when the source changes, and a run reruns what follows."""
    edit(desk.module, {"share >= self.params.share": "share > self.params.share"})
    code, said = desk.tests()
    assert code != 0
    assert "its version is still 1" in said
    edit(desk.module, {'name = "no-shouting"': 'name = "no-shouting"\n    version = 2'})
    code, said = desk.tests(KHICHDI_RECORD="1")
    assert code == 0, said
    plan = desk.fresh.json("plan", "mine.yaml", cwd=desk.folder)
    assert "cached" in {step["status"] for step in plan["steps"]}
    second = desk.run()
    assert ran(second) == {step["name"] for step in first["steps"]} - BEFORE
    why = {step["name"]: step["why"] for step in second["steps"]}
    assert "version" in why["data/mine/filter/no-shouting"]


def _is_identified(desk: Desk) -> None:
    """Lock and record have the digest of the installed files; run and audit say when it differs."""
    assert desk.audited()["verdict"] == "identical"
    text = desk.module.read_text("utf-8")
    desk.module.write_text(text + "# a word\n", "utf-8")
    environment = desk.audited()
    assert environment["verdict"] == "unverifiable"
    assert environment["findings"][0]["at"] == "plugins of khichdi-no-shouting, an editable install"
    desk.module.write_text(text, "utf-8")
    assert "an editable install, has other files than the lock was made with" in desk.say()
    editable = desk.lock()
    assert (editable["version"], editable["editable"]) == ("0.1.0", True)
    assert "other files" not in desk.say()

    desk.fresh.call("pip", "uninstall", "-q", "-y", "khichdi-no-shouting", cwd=desk.folder)
    desk.fresh.install("./khichdi-no-shouting", cwd=desk.folder)
    assert "other files" not in desk.say()
    assert desk.lock() == {**editable, "editable": False}

    edit(desk.project / "pyproject.toml", {'version = "0.1.0"': 'version = "0.2.0"'})
    desk.fresh.install("./khichdi-no-shouting", cwd=desk.folder)
    assert "khichdi-no-shouting 0.2.0 is installed, locked with 0.1.0" in desk.say()
    assert ran(desk.run()) == set()
    assert desk.lock()["version"] == "0.2.0"
    assert "locked with" not in desk.say()

    edit(desk.module, {"version = 2": "version = 3"})
    desk.fresh.install("--force-reinstall", "./khichdi-no-shouting", cwd=desk.folder)
    document = desk.run()
    record = json.loads((Path(document["run"]) / "record.json").read_text())
    (own,) = (one for one in record["plugins"] if one["name"] == "khichdi-no-shouting")
    assert own["version"] == "0.2.0"
    assert own["files"] != editable["files"]
