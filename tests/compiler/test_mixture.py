"""What contradicts itself in a mixture or a sampler is said with its place, before a run."""

from __future__ import annotations

from pathlib import Path

import pytest

from khichdi.compiler.compile import compile_recipe
from khichdi.plugins.registry import load_registry
from khichdi.project.bundled_recipes import open_recipe
from khichdi.schema.errors import RecipeError

RECIPE = """\
recipe: 1
model:
  base: {use: files, include: [model.bin]}
  adapter: {use: lora, target_modules: all-linear}
data:
  lima:
    source: {use: files, include: [a.jsonl]}
    read: {use: jsonl}
    sample: {use: all}
  dolly:
    source: {use: files, include: [b.jsonl]}
    read: {use: jsonl}
mixture:
  order: interleave
  weights: {lima: 2, dolly: 1}
train: {use: qlora, template: {use: alpaca}, learning_rate: 1.0e-3}
"""
REGISTRY = load_registry()


def faults(folder: Path, old: str = "", new: str = "") -> list[str]:
    assert old in RECIPE
    (folder / "r.yaml").write_text(RECIPE.replace(old, new) if old else RECIPE)
    try:
        compile_recipe("r.yaml", folder, open_recipe, REGISTRY)
    except RecipeError as error:
        return [f"{d.line}:{d.column} {d.message}; {d.suggestion}" for d in error.diagnostics]
    return []


def test_weights_of_every_data_set_are_right(tmp_path: Path) -> None:
    assert faults(tmp_path) == []


@pytest.mark.parametrize("order", ["shuffle", "by-source", "short-first"])
def test_weights_that_nothing_uses_are_an_error(tmp_path: Path, order: str) -> None:
    (found,) = faults(tmp_path, "order: interleave", f"order: {order}")
    assert found.startswith(
        f"15:3 `weights` apply only to `order: interleave`; the order is `{order}`;"
    )
    assert "set `order: interleave`" in found


def test_weights_name_all_data_sets_and_nothing_else(tmp_path: Path) -> None:
    assert faults(tmp_path, "lima: 2", "limma: 2") == [
        "15:3 data set `lima` has no weight; add `lima: 1`, or leave all weights out to interleave "
        "by number of rows",
        "15:13 there is no data set `limma`; did you mean `lima`?",
    ]
    (found,) = faults(tmp_path, "lima: 2", "lima: 0")
    assert found.startswith("15:19 ")


def test_a_sampler_by_scores_needs_a_scorer(tmp_path: Path) -> None:
    (found,) = faults(tmp_path, "sample: {use: all}", "sample: {use: rouge-buckets}")
    assert found.startswith(
        "9:13 sampler `rouge-buckets` goes by scores, and the data set has no scorer;"
    )


def test_fields_to_group_by_are_those_of_text(tmp_path: Path) -> None:
    (found,) = faults(
        tmp_path, "mixture:\n", "mixture:\n  validation: {count: 2, group_by: [inputs]}\n"
    )
    assert found.startswith("14:")
    assert "`input`" in found or "'input'" in found
