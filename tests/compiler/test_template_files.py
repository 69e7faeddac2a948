"""A template's Jinja file is part of the recipe."""

from __future__ import annotations

from pathlib import Path

import pytest

from khichdi.compiler.compile import Compiled, compile_recipe
from khichdi.plugins.registry import load_registry
from khichdi.project.bundled_recipes import open_recipe
from khichdi.schema.errors import RecipeError

RECIPE = """\
recipe: 1
model:
  base: {use: files, include: [base/*]}
  adapter: {use: lora}
data:
  rows: {source: {use: files, include: [rows.jsonl]}, read: {use: jsonl}}
train:
  use: qlora
  template: {use: chat, jinja: own.jinja}
"""


def compiled(folder: Path, template: bytes | None, recipe: str = RECIPE) -> Compiled:
    (folder / "r.yaml").write_text(recipe)
    if template is not None:
        (folder / "own.jinja").write_bytes(template)
    return compile_recipe("r.yaml", folder, open_recipe, load_registry())


def test_the_bytes_of_a_template_file_are_in_the_hash(tmp_path: Path) -> None:
    one = compiled(tmp_path, b"{{ messages[0].content }}\n")
    other = compiled(tmp_path, b"{{ messages[0].content }}!\n")
    assert one.recipe.train.template.jinja == "{{ messages[0].content }}\n"  # type: ignore[attr-defined]
    assert one.plan.recipe_hash != other.plan.recipe_hash
    written = RECIPE.replace("own.jinja", '"{{ messages[0].content }}\\n"')
    assert compiled(tmp_path, None, written).plan.recipe_hash == one.plan.recipe_hash
    assert [path.name for path in one.loaded.files] == ["r.yaml", "own.jinja"]


@pytest.mark.parametrize("content", [None, b"\xff\xfe"])
def test_a_template_file_that_cannot_be_read_is_named(
    tmp_path: Path, content: bytes | None
) -> None:
    with pytest.raises(RecipeError, match=r"r.yaml:9:\d+: there is no text file `own.jinja`"):
        compiled(tmp_path, content)
