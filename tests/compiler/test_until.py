"""Recipes of data alone, and plans that are cut at a step."""

from __future__ import annotations

from pathlib import Path

import pytest

from khichdi.compiler.compile import Compiled, compile_recipe
from khichdi.plugins.registry import load_registry
from khichdi.project.bundled_recipes import open_recipe
from khichdi.schema.errors import InputError, RecipeError

DATA = """\
recipe: 1
name: cut
seed: 5
data:
  one:
    source: {use: files, include: [one.jsonl]}
    read: {use: jsonl}
    filters: [{use: max-words, below: 9}]
  two:
    source: {use: files, include: [two.jsonl]}
    read: {use: jsonl}
mixture:
  filters: [{use: exact-duplicates, by: [input]}]
  validation: {count: 2}
"""
MODEL = 'model: {base: {use: files, folder: base, include: ["*"]}, adapter: {use: lora}}\n'
TRAIN = "train: {use: qlora, template: {use: alpaca}}\n"
EVALUATE = "evaluate: [{use: generate}]\n"


def compiled(folder: Path, text: str, until: str | None = None) -> Compiled:
    (folder / "cut.yaml").write_text(text)
    return compile_recipe("cut.yaml", folder, open_recipe, load_registry(), until=until)


def names(found: Compiled) -> list[str]:
    return [step.name for step in found.plan.steps]


def test_a_recipe_of_data_alone_ends_with_its_split(tmp_path: Path) -> None:
    found = compiled(tmp_path, DATA)
    assert found.recipe.data_only
    assert names(found)[-2:] == ["mixture/filter/exact-duplicates", "split"]
    assert not found.plan.trains
    assert "base" not in found.folders


def test_a_whole_recipe_cut_at_its_mixture_has_the_hash_of_its_data_alone(tmp_path: Path) -> None:
    alone = compiled(tmp_path, DATA)
    cut = compiled(tmp_path, DATA + MODEL + TRAIN + EVALUATE, "mixture")
    assert cut.until == "split"
    assert cut.plan.steps == alone.plan.steps
    assert cut.plan.recipe_hash == alone.plan.recipe_hash


def test_a_cut_keeps_the_keys_of_the_whole_recipe(tmp_path: Path) -> None:
    whole = compiled(tmp_path, DATA + MODEL + TRAIN + EVALUATE)
    cut = compiled(tmp_path, DATA + MODEL + TRAIN + EVALUATE, "train")
    keys = {step.name: step.key for step in whole.plan.steps}
    assert all(keys[step.name] == step.key for step in cut.plan.steps)
    assert keys.keys() - {*names(cut)} == {"evaluate/generate/base", "evaluate/generate/adapter"}
    assert cut.plan.recipe_hash != whole.plan.recipe_hash


@pytest.mark.parametrize(
    ("until", "last", "others"),
    [
        ("data/one", "data/one/sample", ["data/one/source", "data/one/read"]),
        ("data/one/read", "data/one/read", ["data/one/source"]),
        ("mixture/filter", "mixture/filter/exact-duplicates", ["mixture", "data/two/sample"]),
        ("split", "split", ["mixture"]),
    ],
)
def test_a_plan_ends_with_the_step_or_section_that_is_named(
    tmp_path: Path, until: str, last: str, others: list[str]
) -> None:
    found = compiled(tmp_path, DATA + MODEL + TRAIN, until)
    assert names(found)[-1] == last == found.until
    assert set(others) <= set(names(found))
    needed = {name for step in found.plan.steps for _, name, _ in step.sources()}
    assert needed | {last} == set(names(found)), "nothing that the last step does not need"


def test_naming_the_last_step_cuts_nothing(tmp_path: Path) -> None:
    found = compiled(tmp_path, DATA, "mixture")
    assert found.until is None
    assert found.plan == compiled(tmp_path, DATA).plan


@pytest.mark.parametrize("until", ["mixtur", "data", "evaluate", ""])
def test_a_step_that_is_not_there_or_not_one_is_refused(tmp_path: Path, until: str) -> None:
    with pytest.raises(InputError, match="has no step") as caught:
        compiled(tmp_path, DATA + MODEL + TRAIN + EVALUATE, until)
    assert caught.value.hint


def test_a_recipe_can_train_on_the_data_of_another(tmp_path: Path) -> None:
    (tmp_path / "data.yaml").write_text(DATA)
    alone = compiled(tmp_path, DATA)
    found = compiled(tmp_path, "extends: data.yaml\n" + MODEL + TRAIN)
    assert found.plan.trains
    keys = {step.name: step.key for step in found.plan.steps}
    assert all(keys[step.name] == step.key for step in alone.plan.steps)


def test_a_recipe_can_take_the_training_of_another_away(tmp_path: Path) -> None:
    (tmp_path / "whole.yaml").write_text(DATA + MODEL + TRAIN + EVALUATE)
    text = "extends: whole.yaml\nmodel: null\ntrain: null\nevaluate: null\n"
    assert compiled(tmp_path, text).plan.steps == compiled(tmp_path, DATA).plan.steps


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (MODEL, "a section `model`, and none `train`"),
        (TRAIN, "a section `train`, and none `model`"),
        (EVALUATE, "`evaluate` needs a trained model"),
        ("export: [{use: merged}]\n", "`export` needs a trained model"),
    ],
)
def test_half_a_training_is_an_error_with_its_place(tmp_path: Path, more: str, words: str) -> None:
    with pytest.raises(RecipeError) as caught:
        compiled(tmp_path, DATA + more)
    (fault,) = caught.value.diagnostics
    assert words in fault.message
    assert fault.line == len(DATA.splitlines()) + 1


def test_what_reads_the_base_needs_a_model(tmp_path: Path) -> None:
    text = DATA.replace("{use: max-words, below: 9}", "{use: truncate, fields: [input], tokens: 9}")
    text = text.replace("    read: {use: jsonl}\nmix", "    read: {use: jsonl}\n    score: S\nmix")
    text = text.replace("score: S", "score: {use: few-shot, metric: exact-match}")
    with pytest.raises(RecipeError) as caught:
        compiled(tmp_path, text)
    codes = [fault.code for fault in caught.value.diagnostics]
    assert codes == ["no-model", "no-model"], caught.value.diagnostics
    assert all("--until mixture" in str(one.suggestion) for one in caught.value.diagnostics)
