"""`--set path=value`: the same recipe as the file edited that way, and errors with a place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from khichdi.compiler.compile import Compiled, compile_recipe
from khichdi.compiler.language.overrides import with_settings
from khichdi.compiler.language.paths import PathError, below, parse_path, step_names
from khichdi.compiler.load import load
from khichdi.plugins.registry import load_registry
from khichdi.project.bundled_recipes import open_recipe
from khichdi.schema.errors import Diagnostic, RecipeError

BASE = """\
recipe: 1
seed: 1
model:
  base: {use: files, include: ["*"]}
  adapter: {use: lora, r: 8}
data:
  a.b:
    source: {use: files, include: [a.jsonl]}
    read: {use: jsonl}
    filters:
      - {use: max-words, fields: [input], below: 800}
      - {use: where, field: input, equals: x}
      - {use: where, field: output, equals: y}
mixture: {validation: {count: 3}}
train: {use: qlora, template: {use: alpaca}, learning_rate: 1.0e-4}
"""


def compiled(folder: Path, text: str, *settings: str) -> Compiled:
    (folder / "a.yaml").write_text(text)
    return compile_recipe("a.yaml", folder, open_recipe, load_registry(), None, settings)


def fault(folder: Path, *settings: str) -> Diagnostic:
    with pytest.raises(RecipeError) as caught:
        compiled(folder, BASE, *settings)
    return caught.value.diagnostics[0]


EDITS = {
    "train.learning_rate=2.0e-4": ("learning_rate: 1.0e-4", "learning_rate: 2.0e-4"),
    "seed=7": ("seed: 1", "seed: 7"),
    "mixture.validation={fraction: 0.5}": ("{count: 3}", "{fraction: 0.5}"),
    "mixture.order=by-source": ("mixture: {", "mixture: {order: by-source, "),
    'data."a.b".sample={use: random, count: 5}': (
        "    filters:",
        "    sample: {use: random, count: 5}\n    filters:",
    ),
    'data."a.b".filters[max-words].below=9': ("below: 800", "below: 9"),
    'data."a.b".filters[where-2].equals=z': ("equals: y", "equals: z"),
    'data."a.b".filters[where]=null': ("      - {use: where, field: input, equals: x}\n", ""),
    'data."a.b".filters[min-words]={use: min-words, at_least: 2}': (
        "mixture:",
        "      - {use: min-words, at_least: 2}\nmixture:",
    ),
    "mixture.filters[exact-duplicates]={use: exact-duplicates, by: [input]}": (
        "mixture: {",
        "mixture: {filters: [{use: exact-duplicates, by: [input]}], ",
    ),
    "train.learning_rate=null": (", learning_rate: 1.0e-4", ""),
    "mixture=null": ("mixture: {validation: {count: 3}}\n", ""),
    "train.template={use: chat, system: 'a = b'}": (
        "{use: alpaca}",
        "{use: chat, system: 'a = b'}",
    ),
}


@pytest.mark.parametrize("setting", EDITS)
def test_a_recipe_with_a_value_set_is_the_file_edited_that_way(
    tmp_path: Path, setting: str
) -> None:
    old, new = EDITS[setting]
    assert old in BASE
    edited = compiled(tmp_path, BASE.replace(old, new))
    found = compiled(tmp_path, BASE, setting)
    assert found.recipe.to_json() == edited.recipe.to_json()
    assert found.plan == edited.plan
    assert found.plan.recipe_hash != compiled(tmp_path, BASE).plan.recipe_hash


def test_several_are_set_in_order(tmp_path: Path) -> None:
    settings = ('data."a.b".filters[max-words]=null', 'data."a.b".filters[where].equals=q')
    found: Any = compiled(tmp_path, BASE, *settings).recipe
    assert [step.use for step in found.data["a.b"].filters] == ["where", "where"]
    assert [step.equals for step in found.data["a.b"].filters] == ["q", "y"]


def test_relative_paths_start_where_the_file_that_wrote_the_source_lies(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "parent.yaml").write_text(BASE)
    text = "extends: deep/parent.yaml\n"
    found = compiled(tmp_path, text, 'data."a.b".source.include=[b.jsonl]')
    assert found.folders["data/a.b/source"] == tmp_path / "deep"


FAULTS = {
    "train.lerning_rate=1": (7, "unknown parameter `lerning_rate`", "`learning_rate`"),
    "trian.seed=1": (1, "unknown key `trian`", "`train`"),
    "train.learning_rate=fast": (21, "must be a number, got 'fast'", None),
    "train.template.use=alpaka": (20, "no template named `alpaka`", "`alpaca`"),
    "train.learning_rate": (20, "a value is missing", "PATH=VALUE"),
    "train.learning_rate=": (21, "a value is missing", "null"),
    "seed=#1": (6, "a value is missing", "quote"),
    "train..x=1": (6, "not a path", "PATH=VALUE"),
    "=1": (1, "not a path", "PATH=VALUE"),
    "[where]=1": (1, "not a path", "PATH=VALUE"),
    "seed=&a 1": (6, "anchors and aliases", "extends"),
    "seed=!!python/name:os.system x": (6, "", None),
    "seed=[1": (6, "", None),
    "seed.x=1": (6, "`seed` is one value; it has no `x`", None),
    'data."a.b".filters.where=1': (20, "a list of steps", "filters[NAME]: max-words, where"),
    'data."a.b".filters[wheer].equals=1': (20, "no step `wheer`", "did you mean `where`?"),
    'data."a.b".source.include[0]=x': (27, "`include` is not a list of steps", None),
    "extends=b.yaml": (1, "`extends` cannot be set", None),
}


@pytest.mark.parametrize("setting", FAULTS)
def test_a_wrong_setting_is_a_diagnostic_whose_place_is_the_option(
    tmp_path: Path, setting: str
) -> None:
    column, message, suggestion = FAULTS[setting]
    found = fault(tmp_path, setting)
    assert (found.file, found.line, found.column) == (f"--set {setting}", 1, column)
    assert found.source == setting
    assert message in found.message
    assert (suggestion or "") in (found.suggestion or "")


def test_faults_of_several_settings_are_told_at_once(tmp_path: Path) -> None:
    settings = ("seed=x", "train.lerning_rate=1", "model.adapter.r=no")
    with pytest.raises(RecipeError) as caught:
        compiled(tmp_path, BASE, *settings)
    assert {d.file for d in caught.value.diagnostics} == {f"--set {text}" for text in settings}


def test_one_place_is_not_set_twice(tmp_path: Path) -> None:
    assert "set twice, first as `seed=1`" in fault(tmp_path, "seed=1", "seed=2").message


def test_a_fault_of_the_file_stays_in_the_file(tmp_path: Path) -> None:
    with pytest.raises(RecipeError) as caught:
        compiled(tmp_path, BASE.replace("r: 8", "r: no"), "seed=3")
    (only,) = caught.value.diagnostics
    assert Path(only.file).name == "a.yaml"
    assert only.line == 5


def test_what_is_not_set_keeps_its_place(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(BASE)
    loaded = load("a.yaml", tmp_path, open_recipe)
    found = with_settings(loaded, ['data."a.b".filters[max-words]=null', "seed=3"])
    places = {path: found.place(path) for path in found.origins}
    assert places[("train", "learning_rate")] == loaded.place(("train", "learning_rate"))
    assert places[("seed",)] == ("--set seed=3", 1)
    # What stood second in the list stands first now, and is still on its own line.
    assert places[("data", "a.b", "filters", 0, "equals")][1] == 12  # type: ignore[index]


def test_a_path_is_read_as_it_is_written() -> None:
    for keys in (("train", "x"), ("data", "a.b", 'q"uo\\te'), ("a=b",), ("a b", "[x]")):
        path = ""
        for key in keys:
            path = below(path, key)
        segments, end = parse_path(path + "=1", end="=")
        assert [part.name for part in segments] == list(keys)
        assert end == len(path)
    for text in ("", "a.", ".a", "a[", "a[]", "a b", "a[x]y"):
        with pytest.raises(PathError):
            parse_path(text)


def test_second_steps_are_numbered_and_no_name_is_given_twice() -> None:
    assert step_names(["where", "where", "b", "where"]) == ["where", "where-2", "b", "where-3"]
    assert len(set(step_names(["where", "where-2", "where", "where"]))) == 4
