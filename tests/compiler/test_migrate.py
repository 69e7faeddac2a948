"""Versions of the language: an older recipe runs as it is, and keeps its hash when migrated.

Only version 1 was released, so the older one is made up here: it says `sequence_length`.
"""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

from khichdi.compiler.compile import Compiled, compile_recipe, with_lock
from khichdi.compiler.language.migrate import CURRENT, language, migrate, read, read_as_written
from khichdi.compiler.language.migrations import MIGRATIONS, Edit, Note
from khichdi.compiler.yaml.formatter import format_tree
from khichdi.plugins.registry import load_registry
from khichdi.project.bundled_recipes import open_recipe, shipped_folder
from khichdi.schema.errors import RecipeError
from khichdi.schema.lock import Lock
from khichdi.schema.recipe import Recipe

REGISTRY = load_registry()
SHIPPED = shipped_folder() / "quickstart.yaml"


def from_version_0(edit: Edit) -> None:
    train = edit.root.entry("train")
    edit.rename(train.node if train else None, "sequence_length", "sequence_len")


@pytest.fixture
def older(monkeypatch: pytest.MonkeyPatch) -> str:
    """Let the language have an older version; return the quickstart in it."""
    monkeypatch.setitem(MIGRATIONS, 0, from_version_0)
    text = SHIPPED.read_text().replace("recipe: 1\n", "recipe: 0\n")
    return text.replace("  sequence_len: ", "  sequence_length: ")


def compiled(text: str) -> Compiled:
    path = shipped_folder() / "draft.yaml"
    return compile_recipe("draft.yaml", path.parent, lambda *_: (path, text.encode()), REGISTRY)


def faults(text: str) -> list[tuple[int, int, str, str]]:
    with pytest.raises(RecipeError) as caught:
        compiled(text)
    return [(d.line, d.column, d.code, d.message) for d in caught.value.diagnostics]


def test_the_chain_leads_to_the_version_that_is_bound() -> None:
    assert sorted(MIGRATIONS) == list(range(CURRENT - len(MIGRATIONS), CURRENT))
    assert get_args(Recipe.model_fields["recipe"].annotation) == (CURRENT,)


def test_an_older_recipe_is_rewritten_with_its_comments(older: str) -> None:
    raw = older.encode()
    tree, migrated, notes = migrate(raw, read_as_written(raw, "draft.yaml"))
    text = format_tree(tree, "draft.yaml", REGISTRY)
    assert text == SHIPPED.read_text()
    assert read(text.encode(), "draft.yaml").data == migrated.data
    line = older.splitlines().index("  sequence_length: 256") + 1
    assert notes == [Note(line, "sequence_length", "sequence_len")]


def test_an_older_recipe_runs_unmigrated_to_the_same_hash(older: str) -> None:
    lock = Lock.from_json((shipped_folder() / "quickstart.lock").read_bytes(), "quickstart.lock")
    old = with_lock(compiled(older), REGISTRY, lock)
    new = with_lock(compiled(SHIPPED.read_text()), REGISTRY, lock)
    assert old.plan.locked
    assert old.recipe == new.recipe
    assert old.plan == new.plan


@pytest.mark.usefixtures("older")
def test_recipes_of_different_versions_extend_one_another(tmp_path: Path) -> None:
    child = tmp_path / "child.yaml"
    for version, word in ((0, "sequence_length"), (1, "sequence_len")):
        child.write_text(f"recipe: {version}\nextends: quickstart\ntrain: {{{word}: 128}}\n")
        recipe = compile_recipe("child.yaml", tmp_path, open_recipe, REGISTRY).recipe
        assert recipe.train.sequence_len == 128


def test_diagnostics_of_an_older_recipe_are_at_its_own_places(older: str) -> None:
    line = older.splitlines().index("  sequence_length: 256") + 1
    ((*place, _, said),) = faults(older.replace("sequence_length: 256", "sequence_length: no"))
    assert place == [line, 20]
    assert "`sequence_len` must be" in said
    twice = older.replace("  sequence_length: 256", "  sequence_length: 256\n  sequence_len: 9")
    ((*place, code, said),) = faults(twice)
    assert place == [line, 3]
    assert (code, "are the same" in said) == ("migration", True)


@pytest.mark.parametrize(
    ("version", "hint"), [(2, "--upgrade"), (0, "recipe: 1"), (-1, "recipe: 1"), (2**53 - 1, "up")]
)
def test_a_version_that_is_not_known_is_refused(version: int, hint: str) -> None:
    with pytest.raises(RecipeError) as caught:
        compiled(f"name: x\nrecipe: {version}\n")
    (found,) = caught.value.diagnostics
    assert (found.line, found.column, found.code) == (2, 9, "version")
    assert f"version {version} of the language; this khichdi reads version 1" in found.message
    assert hint in str(found.suggestion)


def test_a_version_that_is_not_a_number_here_is_reported_once() -> None:
    found = faults(f"recipe: {10**30}\nname: x\n")
    assert [code for line, column, code, _ in found if (line, column) == (1, 9)] == ["number"]


def test_a_file_that_states_no_version_is_of_the_first_that_was_released() -> None:
    parsed = read_as_written(b"extends: x.yaml\n", "r.yaml")
    assert language(parsed) == 1
