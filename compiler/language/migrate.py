"""Upgrade a recipe of an older language version when it is read.

Migrations form a chain, each from one version to the next. They change the tree of the file, so
that every value keeps its place, and `recipe migrate` its comments. A recipe hash says what a
recipe means; in which version it was written stands beside it, in the plan.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, get_args

from ...schema.errors import Diagnostic, RecipeError
from ...schema.recipe import Recipe
from ...schema.yaml_reader import Parsed, Path, parse, parse_leniently

if TYPE_CHECKING:
    from ..yaml.cst import Tree
    from .migrations import Note

CURRENT: int = get_args(Recipe.model_fields["recipe"].annotation)[0]
"""The version that this khichdi binds."""
OLDEST = 0
UNSTATED = 1
"""The version of a file that states none: the first one released. It never changes."""


@dataclass
class Migrated(Parsed):
    """A file brought to this version, with the places that its values have as it is written.

    `written` has, by path, the key that stands in the file where another one does now.
    """

    language: int = CURRENT
    written: dict[Path, str] = field(default_factory=dict)

    def diagnose(
        self,
        path: Path,
        code: str,
        message: str,
        suggestion: str | None = None,
        *,
        key: bool = False,
    ) -> Diagnostic:
        """Return a diagnostic in the words of this version, with the file's own beside them."""
        word = self.written.get(path)
        if word and f"`{path[-1]}`" in message:
            message = f"{message} (version {self.language} of the language calls it `{word}`)"
        return super().diagnose(path, code, message, suggestion, key=key)


def read(raw: bytes, file: str) -> Parsed:
    """Parse one file of a recipe, in this version of the language whatever it is written in.

    Faults of the text are kept beside what could be read, so that all can be told at once.

    Raises:
        RecipeError: nothing of it could be read, it is of a version that is not known, or cannot
            be brought to this one.
    """
    parsed = _checked(parse_leniently(raw, file))
    if language(parsed) == CURRENT or parsed.faults:
        return parsed
    _, migrated, _ = migrate(raw, parsed)
    return migrated


def read_as_written(raw: bytes, file: str) -> Parsed:
    """Parse one file of a recipe, and check that it is a mapping of a version that is known.

    Raises:
        RecipeError: it is no YAML a recipe can be, or is of a version that is not known.
    """
    return _checked(parse(raw, file))


def _checked(parsed: Parsed) -> Parsed:
    if not isinstance(parsed.data, dict):
        kind = "a list" if isinstance(parsed.data, list) else "one value"
        message = f"a recipe is a mapping that starts with `recipe: {CURRENT}`, this is {kind}"
        fault = parsed.diagnose((), "not-a-mapping", message)
        raise RecipeError([fault, *parsed.faults])
    version = language(parsed)
    if not OLDEST <= version <= CURRENT:
        message = f"the recipe is written in version {version} of the language"
        message += f"; this khichdi reads versions {OLDEST} to {CURRENT}"
        hint = "a newer khichdi may read it: `pip install --upgrade khichdi`"
        raise RecipeError([parsed.diagnose(("recipe",), "version", message, hint)])
    return parsed


def language(parsed: Parsed) -> int:
    """Return the version of the language that a file is written in."""
    if isinstance(parsed, Migrated):
        return parsed.language
    stated = parsed.data.get("recipe", UNSTATED)
    # Anything but a whole number is for binding to refuse.
    return stated if type(stated) is int else CURRENT


def migrate(raw: bytes, parsed: Parsed) -> tuple[Tree, Migrated, list[Note]]:
    """Return a file of an older version as a tree of this one, its values, and what changed.

    Raises:
        RecipeError: what the file says has no place in this version; says where and why.
    """
    from ..yaml.cst import as_parsed
    from ..yaml.cst_reader import read_tree
    from .migrations import MIGRATIONS, Edit

    tree = read_tree(raw.decode("utf-8-sig"), parsed)
    edit = Edit(tree.root, parsed)
    for version in range(language(parsed), CURRENT):
        MIGRATIONS[version](edit)
        edit.state(version + 1)
        if edit.faults:
            raise RecipeError(edit.faults)
    found = as_parsed(tree, parsed)
    written = {path: word for path, word in edit.written() if path[-1] != word}
    moved = Migrated(
        found.file,
        found.data,
        found.lines,
        found.keys,
        found.values,
        language=language(parsed),
        written=written,
    )
    return tree, moved, edit.notes
