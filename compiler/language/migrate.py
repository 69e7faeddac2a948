"""Versions of the language: a recipe of an older one is migrated when it is read.

Migrations form a chain, each from one version to the next. They change the tree of the file, so
that every value keeps its place, and `recipe migrate` its comments.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

from ...schema.errors import RecipeError
from ...schema.recipe import Recipe
from ...schema.yaml_reader import Parsed, parse, parse_leniently

if TYPE_CHECKING:
    from ..yaml.cst import Tree
    from .migrations import Note

CURRENT: int = get_args(Recipe.model_fields["recipe"].annotation)[0]
"""The version that this khichdi binds."""
UNSTATED = 1
"""The version of a file that states none: the first one released. It never changes."""


def read(raw: bytes, file: str) -> Parsed:
    """Parse one file of a recipe, and migrate it to this version of the language.

    Faults of the text are kept beside what could be read, so that all are reported at once.

    Raises:
        RecipeError: nothing of it could be read, it is of a version that is not known, or cannot
            be migrated to this one.
    """
    parsed = _checked(parse_leniently(raw, file))
    if language(parsed) == CURRENT or parsed.faults:
        return parsed
    return migrate(raw, parsed)[1]


def read_as_written(raw: bytes, file: str) -> Parsed:
    """Parse one file of a recipe, and check that it is a mapping of a version that is known.

    Raises:
        RecipeError: it is not YAML that a recipe can be, or is of a version that is not known.
    """
    return _checked(parse(raw, file))


def _checked(parsed: Parsed) -> Parsed:
    if not isinstance(parsed.data, dict):
        kind = "a list" if isinstance(parsed.data, list) else "one value"
        message = f"a recipe is a mapping that starts with `recipe: {CURRENT}`, this is {kind}"
        fault = parsed.diagnose((), "not-a-mapping", message)
        raise RecipeError([fault, *parsed.faults])
    version = language(parsed)
    if version != CURRENT:
        _check_known(parsed, version)
    return parsed


def _check_known(parsed: Parsed, version: int) -> None:
    from .migrations import MIGRATIONS

    if version in MIGRATIONS:
        return
    known = " and ".join(map(str, (*sorted(MIGRATIONS), CURRENT)))
    message = f"the recipe is written in version {version} of the language"
    message += f"; this khichdi reads version {known}"
    hint = f"write `recipe: {CURRENT}`"
    if version > CURRENT:
        hint = "a newer khichdi may read it: `pip install --upgrade khichdi`"
    raise RecipeError([parsed.diagnose(("recipe",), "version", message, hint)])


def language(parsed: Parsed) -> int:
    """Return the version of the language that a file is written in."""
    stated = parsed.data.get("recipe", UNSTATED)
    # Anything but a whole number is for binding to refuse.
    return stated if type(stated) is int else CURRENT


def migrate(raw: bytes, parsed: Parsed) -> tuple[Tree, Parsed, list[Note]]:
    """Return a file of an older version as a tree of this one, its values, and what changed.

    Raises:
        RecipeError: a value of the file has no place in this version; names it and the reason.
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
    return tree, as_parsed(tree, parsed), edit.notes
