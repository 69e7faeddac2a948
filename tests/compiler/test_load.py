"""`extends:`: what is stated differs, what is not is kept, and each value keeps its file."""

from __future__ import annotations

from pathlib import Path

import pytest

from khichdi.compiler.load import Loaded, load
from khichdi.schema.errors import RecipeError

PARENT = """\
recipe: 1
seed: 1
data:
  lima:
    source: {use: files, include: [a.jsonl]}
    filters:
      - {use: max-words, below: 800}
      - {use: min-words, at_least: 4}
model:
  base: {use: files, include: [x]}
  quantization: {use: bitsandbytes, bits: 4}
train: {use: qlora, learning_rate: 1.0e-4, betas: [1, 2]}
"""


def loaded(folder: Path, child: str, parent: str = PARENT) -> Loaded:
    (folder / "parent.yaml").write_text(parent)
    (folder / "child.yaml").write_text(child)
    return load("child.yaml", folder, lambda n, f: (f / n, (f / n).read_bytes()))


def test_a_child_states_only_what_differs(tmp_path: Path) -> None:
    found = loaded(tmp_path, "extends: parent.yaml\nseed: 2\ntrain: {learning_rate: 2.0e-4}\n")
    assert found.data["seed"] == 2
    assert found.data["train"] == {"use": "qlora", "learning_rate": 2e-4, "betas": [1, 2]}
    assert "extends" not in found.data
    assert [path.name for path in found.files] == ["child.yaml", "parent.yaml"]


def test_lists_of_steps_merge_by_name(tmp_path: Path) -> None:
    child = (
        "extends: parent.yaml\ndata:\n  lima:\n    filters:\n"
        "      - {use: where, field: input}\n      - {use: min-words, at_least: 9}\n"
    )
    assert loaded(tmp_path, child).data["data"]["lima"]["filters"] == [
        {"use": "max-words", "below": 800},
        {"use": "min-words", "at_least": 9},
        {"use": "where", "field": "input"},
    ]


def test_another_plugin_replaces_the_step_whole(tmp_path: Path) -> None:
    child = "extends: parent.yaml\nmodel: {quantization: {use: none}}\n"
    assert loaded(tmp_path, child).data["model"]["quantization"] == {"use": "none"}


def test_null_takes_a_key_away_and_plain_lists_replace(tmp_path: Path) -> None:
    child = "extends: parent.yaml\ndata: {lima: {filters: null}}\ntrain: {betas: [3]}\n"
    found = loaded(tmp_path, child)
    assert "filters" not in found.data["data"]["lima"]
    assert found.data["train"]["betas"] == [3]


def test_each_value_keeps_its_file_and_folder(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "parent.yaml").write_text(PARENT)
    (tmp_path / "child.yaml").write_text("extends: deep/parent.yaml\nseed: 2\n")
    found = load("child.yaml", tmp_path, lambda n, f: (f / n, (f / n).read_bytes()))
    assert found.folder(("data", "lima", "source")) == tmp_path / "deep"
    assert found.folder(("seed",)) == tmp_path
    inherited = found.diagnose(("train", "learning_rate"), "x", "wrong")
    assert (Path(inherited.file).name, inherited.line) == ("parent.yaml", 12)
    own = found.diagnose(("seed",), "x", "wrong")
    assert (Path(own.file).name, own.line) == ("child.yaml", 2)


def test_a_circle_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"child\.yaml.*extends this recipe in turn|in turn"):
        loaded(tmp_path, "extends: parent.yaml\n", "extends: child.yaml\n")


def test_a_recipe_that_extends_itself_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="in turn"):
        loaded(tmp_path, "extends: child.yaml\n")
