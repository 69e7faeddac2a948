"""A difference is one of meaning, told by path, and knows what it reruns."""

from __future__ import annotations

from pathlib import Path

import pytest

from khichdi.compiler.compile import Compiled, compile_recipe
from khichdi.compiler.diff import changes
from khichdi.compiler.invalidation import reruns
from khichdi.plugins.registry import load_registry
from khichdi.project.bundled_recipes import open_recipe


def variant(folder: Path, text: str) -> Compiled:
    (folder / "variant.yaml").write_text(f"extends: quickstart\nrecipe: 1\n{text}")
    return compile_recipe("variant.yaml", folder, open_recipe, load_registry())


SAME = {
    "nothing": "",
    "a default written out": "train: {sample_packing: true, weight_decay: 0}\n",
    "a name": "name: other\ndescription: Other words.\n",
    "how a number is written": "train: {learning_rate: 0.002}\n",
    "what cannot change a result": "train: {dataloader_num_workers: 4}\n",
}


@pytest.mark.parametrize("what", SAME)
def test_what_means_the_same_is_no_change(tmp_path: Path, what: str) -> None:
    before, after = variant(tmp_path, ""), variant(tmp_path, SAME[what])
    assert changes(before.recipe, after.recipe) == []
    assert reruns(before.plan, after.plan) == {}


def test_a_changed_value_reruns_what_follows_from_it(tmp_path: Path) -> None:
    before, after = variant(tmp_path, ""), variant(tmp_path, "train: {learning_rate: 0.001}\n")
    (change,) = changes(before.recipe, after.recipe)
    assert (change.path, change.before, change.after) == ("train.learning_rate", 0.002, 0.001)
    assert (change.before_default, change.after_default) == (False, False)
    assert reruns(before.plan, after.plan) == {
        "train": "its parameters (learning_rate)",
        "evaluate/generate/adapter": "its input train",
    }


def test_a_new_filter_is_told_by_name_not_by_position(tmp_path: Path) -> None:
    text = "data: {tasks: {filters: [{use: min-words, at_least: 2, fields: [input]}]}}\n"
    before, after = variant(tmp_path, ""), variant(tmp_path, text)
    found = {change.path: (change.before, change.after) for change in changes(
        before.recipe, after.recipe
    )}  # fmt: skip
    assert found == {
        "data.tasks.filters": (
            ["languages", "categories", "max-words"],
            ["languages", "categories", "max-words", "min-words"],
        ),
        "data.tasks.filters[min-words].at_least": (None, 2),
        "data.tasks.filters[min-words].fields": (None, ["input"]),
    }


def test_another_plugin_is_a_change_of_use_and_of_its_parameters(tmp_path: Path) -> None:
    text = "train: {template: {use: question-answer}}\n"
    before, after = variant(tmp_path, ""), variant(tmp_path, text)
    found = {change.path for change in changes(before.recipe, after.recipe)}
    assert "train.template.use" in found
    assert "pack" in reruns(before.plan, after.plan)
    assert "split" not in reruns(before.plan, after.plan)
