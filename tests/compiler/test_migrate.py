"""Versions of the language: old recipes run as they are, and keep their hash when migrated.

`version0/` has frozen drafts of the shipped recipes; `version1/` has what `recipe migrate` makes of
them, comments and all. Neither is ever to be changed.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import get_args

import pytest

from khichdi.compiler.compile import Compiled, compile_recipe, with_lock
from khichdi.compiler.language.migrate import (
    CURRENT,
    OLDEST,
    language,
    migrate,
    read,
    read_as_written,
)
from khichdi.compiler.language.migrations import MIGRATIONS
from khichdi.compiler.yaml.formatter import format_tree
from khichdi.plugins.registry import load_registry
from khichdi.project.bundled_recipes import open_recipe, shipped_folder
from khichdi.schema.errors import RecipeError
from khichdi.schema.lock import Lock
from khichdi.schema.plan import Plan, recipe_hash
from khichdi.schema.recipe import Recipe

REGISTRY = load_registry()
HERE = Path(__file__).parent
DRAFTS = sorted(path.relative_to(HERE / "version0") for path in HERE.glob("version0/**/*.yaml"))
RECIPES = [str(path) for path in DRAFTS if len(path.parts) == 1]


def compiled(name: str, folder: Path) -> Compiled:
    return compile_recipe(name, folder, open_recipe, REGISTRY)


def faults(folder: Path, text: str) -> list[tuple[int, int, str]]:
    (folder / "r.yaml").write_text(text)
    with pytest.raises(RecipeError) as caught:
        compiled("r.yaml", folder)
    return [(d.line, d.column, d.message) for d in caught.value.diagnostics]


def draft(old: str, new: str) -> str:
    text = (HERE / "version0" / "quickstart.yaml").read_text()
    assert text.count(old) == 1
    return text.replace(old, new)


def test_the_chain_leads_from_the_oldest_version_to_the_one_that_is_bound() -> None:
    assert list(MIGRATIONS) == list(range(OLDEST, CURRENT))
    assert get_args(Recipe.model_fields["recipe"].annotation) == (CURRENT,)


@pytest.mark.parametrize("draft", DRAFTS, ids=str)
def test_a_draft_is_rewritten_with_its_comments(draft: Path) -> None:
    raw = (HERE / "version0" / draft).read_bytes()
    tree, migrated, notes = migrate(raw, read_as_written(raw, str(draft)))
    text = format_tree(tree, str(draft), REGISTRY)
    assert text == (HERE / "version1" / draft).read_text()
    assert read(text.encode(), str(draft)).data == migrated.data
    assert notes


@pytest.mark.parametrize("name", RECIPES)
def test_a_draft_runs_unmigrated_as_what_it_migrates_to(name: str) -> None:
    old, new = compiled(name, HERE / "version0"), compiled(name, HERE / "version1")
    assert old.recipe == new.recipe
    assert old.plan.recipe_hash == new.plan.recipe_hash
    assert old.plan.steps == new.plan.steps
    assert (old.plan.language, new.plan.language) == (0, 1)


def test_the_draft_of_the_quickstart_is_the_quickstart_that_ships_to_its_hash() -> None:
    lock = Lock.from_json((shipped_folder() / "quickstart.lock").read_bytes(), "quickstart.lock")
    old = with_lock(compiled("quickstart.yaml", HERE / "version0"), REGISTRY, lock)
    shipped = with_lock(compiled("quickstart", HERE), REGISTRY, lock)
    assert old.plan.locked
    assert old.plan.recipe_hash == shipped.plan.recipe_hash
    assert old.plan.language == 0


def test_a_plan_kept_under_an_older_version_is_verified_by_its_steps_alone() -> None:
    plan = compiled("quickstart.yaml", HERE / "version0").plan
    kept = Plan.from_json(plan.to_text(), "plan.json")
    assert kept.language == 0
    assert recipe_hash(kept.steps, kept.locked) == plan.recipe_hash


@pytest.mark.parametrize(("child", "parent"), [(0, 1), (1, 0)])
def test_recipes_of_different_versions_extend_one_another(
    child: int, parent: int, tmp_path: Path
) -> None:
    shutil.copy(HERE / f"version{parent}" / "quickstart.yaml", tmp_path)
    shutil.copy(HERE / f"version{child}" / "smollm2-135m.yaml", tmp_path)
    mixed = compiled("smollm2-135m.yaml", tmp_path)
    assert mixed.recipe == compiled("smollm2-135m.yaml", HERE / "version1").recipe
    assert mixed.plan.language == child


WRONG = {
    "lora_r: 16": ("lora_r: much", (12, 33), "`r` must be"),
    "lora_alpha": ("lora_alhpa", (12, 37), "`lora_alhpa`"),
    "type: alpaca": ("type: alpaka", (31, 20), "no template named `alpaka`"),
    "val_set_size: 48": ("val_set_size: -1", (6, 15), "`count` must be"),
    "sequence_length: 256": ("sequence_length: no", (32, 20), "`sequence_len` must be"),
    "name: tasks": ("named: tasks", (16, 5), "a data set needs a `name`"),
    "datasets:": ("datasets: {}\ndata:", (14, 1), "`datasets` is a list"),
    "micro_batch_size": ("sequence_len: 9\n  micro_batch_size", (32, 3), "say the same"),
    "mixture:": ("mixture:\n  validation: {count: 9}", (6, 1), "contradict one another"),
}


@pytest.mark.parametrize("right", WRONG)
def test_diagnostics_of_a_draft_are_at_its_own_lines(right: str, tmp_path: Path) -> None:
    wrong, place, message = WRONG[right]
    ((line, column, said),) = faults(tmp_path, draft(right, wrong))
    assert message in said
    lines = draft(right, wrong).splitlines()
    assert (line, column) == place, lines[line - 1]


def test_a_diagnostic_has_the_word_of_the_file_beside_that_of_the_language(tmp_path: Path) -> None:
    ((_, _, said),) = faults(tmp_path, draft("lora_r: 16", "lora_r: much"))
    assert said.endswith("(version 0 of the language calls it `lora_r`)")


@pytest.mark.parametrize("version", [2, -1, 2**53 - 1])
def test_a_version_that_is_not_known_is_refused(version: int, tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text(f"name: x\nrecipe: {version}\n")
    with pytest.raises(RecipeError) as caught:
        compiled("r.yaml", tmp_path)
    (found,) = caught.value.diagnostics
    assert (found.line, found.column, found.code) == (2, 9, "version")
    assert f"version {version} of the language; this khichdi reads versions 0 to 1" in found.message
    assert "pip install --upgrade khichdi" in str(found.suggestion)


def test_a_version_that_is_no_number_here_is_told_once(tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text(f"recipe: {10**30}\nname: x\n")
    with pytest.raises(RecipeError) as caught:
        compiled("r.yaml", tmp_path)
    assert [d.code for d in caught.value.diagnostics if d.line == 1 and d.column == 9] == ["number"]


def test_no_rows_held_out_in_a_draft_takes_a_parents_away(tmp_path: Path) -> None:
    shutil.copy(HERE / "version0" / "quickstart.yaml", tmp_path / "parent.yaml")
    (tmp_path / "r.yaml").write_text(
        "recipe: 0\nextends: parent.yaml\nval_set_size: 0\nevaluation: null\n"
        "train: {metric_for_best_model: null}\n"
    )
    assert compiled("r.yaml", tmp_path).recipe.mixture.validation is None


def test_a_file_that_states_no_version_is_of_the_first_that_was_released(tmp_path: Path) -> None:
    parsed = read_as_written(b"extends: x.yaml\n", "r.yaml")
    assert language(parsed) == 1
