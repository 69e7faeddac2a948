"""Show the bound recipe: every default written out, with what it extends merged in."""

from __future__ import annotations

import io
from argparse import ArgumentParser, Namespace

from .output import emit
from .session import open_session, recipe_argument


def arguments(parser: ArgumentParser) -> None:
    """Add what this command takes."""
    recipe_argument(parser)


def run(options: Namespace) -> int:
    """Print the recipe as YAML, or as JSON."""
    from ruamel.yaml import YAML

    recipe = open_session(options, options.file).compiled.recipe.to_json()
    text = io.StringIO()
    yaml = YAML()
    yaml.indent(mapping=2, sequence=4, offset=2)
    yaml.dump(recipe, text)
    emit(options, recipe, text.getvalue().rstrip())
    return 0
