"""Format recipes in canonical layout; comments and blank lines are kept.

Keys in the order of the language, short steps on one line, a blank line between sections: the same
recipe always looks the same, so that a diff shows only real changes.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from ..compiler.language.migrate import CURRENT, language, read_as_written
from ..compiler.yaml.formatter import format_recipe
from ..plugins.registry import load_registry
from ..schema.errors import RecipeError
from .rewrite import RewrittenFile
from .rewrite import arguments as rewrite_arguments
from .rewrite import run as rewrite_run


def arguments(parser: ArgumentParser) -> None:
    """Add the command's arguments."""
    rewrite_arguments(parser)


def run(options: Namespace) -> int:
    """Format every file that is a recipe; one that is not is left as it is."""
    registry = load_registry()

    def rewrite(raw: bytes, name: str) -> RewrittenFile:
        parsed = read_as_written(raw, name)
        if language(parsed) < CURRENT:
            message = f"written in version {language(parsed)} of the language"
            hint = "`recipe migrate` upgrades it to this version, in canonical layout"
            raise RecipeError([parsed.diagnose(("recipe",), "version", message, hint)])
        if not {"recipe", "extends"} & parsed.data.keys():
            message = "this is not a recipe: it has neither `recipe` nor `extends`"
            hint = f"a recipe starts with `recipe: {CURRENT}`"
            raise RecipeError([parsed.diagnose((), "not-a-recipe", message, hint)])
        return RewrittenFile(name, raw.decode("utf-8"), format_recipe(raw, parsed, registry))

    return rewrite_run(options, rewrite, "formatted")
