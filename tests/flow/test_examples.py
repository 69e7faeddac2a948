"""The examples of docs/plugins install, and a recipe of third-party plugins runs."""

from __future__ import annotations

import json
import shutil
import sqlite3
import tomllib
from contextlib import closing
from pathlib import Path

import pytest
from fresh import make_fresh

from khichdi.plugins.kinds import KINDS

EXAMPLES = Path(__file__).resolve().parents[2] / "docs" / "plugins"
PROJECT = tomllib.loads((EXAMPLES / "pyproject.toml").read_text())["project"]
MODULES = PROJECT["entry-points"]["khichdi"]
RECIPE = """\
recipe: 1
name: third-party
seed: 5
model:
  base: {use: files, folder: base, include: ["*"]}
  quantization: {use: llm-int8, compute_dtype: float32}
  adapter: {use: ia3}
data:
  questions:
    source:
      use: sqlite
      database: questions.db
      query: SELECT question AS input, answer AS output FROM questions ORDER BY id
    read: {use: jsonl}
    filters: [{use: readability, field: output, at_least: 0, min_words: 5}]
    score: {use: distinct-ngrams}
    sample: {use: length-strata, edges: [3], quota: [12, 12]}
  translations:
    source: {use: files, include: ["po/*.po"]}
    read: {use: gettext}
mixture: {validation: {count: 6}}
train:
  use: plain-pytorch
  template: {use: chatml}
  sequence_len: 256
  num_epochs: 2
  learning_rate: 1.0e-2
  cpu_threads: 1
evaluate: [{use: perplexity, cpu_threads: 1}]
export: [{use: npz}]
rules: [{use: row-budget, at_most: 1000}]
"""
HARD = "Organisational accountability necessitates comprehensive interdepartmental documentation."


def material(folder: Path, base: Path) -> None:
    """Write what the recipe names."""
    shutil.copytree(base, folder / "base")
    with closing(sqlite3.connect(folder / "questions.db")) as database:
        database.execute("CREATE TABLE questions (id INTEGER, question TEXT, answer TEXT)")
        answers = ["Yes.", "It is the sum of the two numbers.", HARD]
        rows = [(n, f"Question {n}?", answers[n % 3]) for n in range(48)]
        database.executemany("INSERT INTO questions VALUES (?, ?, ?)", rows)
        database.commit()
    (folder / "po").mkdir()
    entries = ['msgid ""\nmsgstr "Language: es\\n"\n']
    entries += [f'msgid "File {n}"\nmsgstr "Archivo {n}"\n' for n in range(10)]
    entries += ['msgid "New"\nmsgstr ""\n']
    (folder / "po" / "es.po").write_text("\n".join(entries))
    (folder / "third-party.yaml").write_text(RECIPE)


def test_there_is_an_example_of_every_kind() -> None:
    kinds, readme = [], (EXAMPLES / "README.md").read_text("utf-8")
    for name, module in MODULES.items():
        place = EXAMPLES / module.replace(".", "/")
        file = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
        text = file.read_text("utf-8")
        kinds += [kind for kind in KINDS if f"def khichdi_{kind}s()" in text]
        assert f"## `{name}`, a" in readme
    assert sorted(kinds) == sorted(KINDS)


PUBLIC = ("khichdi.plugins", "khichdi.plugins.testing", "khichdi.plugins.toolkit")


def test_an_example_uses_the_public_api_alone() -> None:
    for file in EXAMPLES.rglob("*.py"):
        for line in file.read_text("utf-8").splitlines():
            if line.startswith(("from khichdi.", "import khichdi.")):
                assert line.split()[1] in PUBLIC, file


@pytest.mark.slow
def test_a_recipe_of_third_party_plugins_runs_and_runs_again_from_the_store(
    tmp_path: Path, tiny_base: Path
) -> None:
    fresh = make_fresh(tmp_path / "venv", KHICHDI_STORE=str(tmp_path / "store"))
    sources = tmp_path / "sources"
    shutil.copytree(EXAMPLES, sources)
    fresh.install(".", cwd=sources)
    listed = fresh.json("plugins", cwd=tmp_path)
    own = {p["kind"]: p for p in listed if not p["distribution"].startswith("khichdi ")}
    assert sorted(own) == sorted(KINDS)
    assert {p["name"] for p in own.values()} == set(MODULES)

    material(tmp_path, tiny_base)
    assert "1 recipe valid" in fresh.recipe("validate", "third-party.yaml", cwd=tmp_path)
    first = fresh.json("run", "third-party.yaml", cwd=tmp_path)
    assert {step["status"] for step in first["steps"]} == {"ran"}
    # The others are parts of these steps: template, quantizer, adapter; and the rule.
    steps = {"sqlite", "gettext", "readability", "distinct-ngrams", "length-strata", "npz"}
    assert steps | {"plain-pytorch", "perplexity"} <= {step["plugin"] for step in first["steps"]}
    assert first["metrics"]["perplexity"] < first["metrics"]["perplexity_before"]
    config = json.loads((Path(first["adapter"]) / "adapter_config.json").read_text())
    assert config["peft_type"] == "IA3"

    again = fresh.json("run", "third-party.yaml", cwd=tmp_path)
    assert {step["status"] for step in again["steps"]} == {"cached"}
    assert again["result_hash"] == first["result_hash"]


@pytest.mark.slow
def test_the_examples_pass_their_own_tests(tmp_path: Path) -> None:
    folder = tmp_path / "examples"
    shutil.copytree(EXAMPLES, folder)
    fresh = make_fresh(tmp_path / "venv")
    fresh.install("-e", ".", cwd=folder)
    code, out, err = fresh.call("pytest", "-q", "-p", "no:cacheprovider", cwd=folder)
    assert code == 0, out + err
    assert " passed" in out
