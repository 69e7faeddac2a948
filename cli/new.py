"""Create a recipe of your own: a copy of a shipped one, with the files that it reads."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from ..project.new_recipe import new_recipe
from .output import emit


def arguments(parser: ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("name", metavar="NAME", help="what your recipe is called")
    parser.add_argument(
        "--from",
        dest="origin",
        metavar="RECIPE",
        default="quickstart",
        help="the shipped recipe to copy",
    )


def run(options: Namespace) -> int:
    """Write NAME.yaml, and beside it every file that the shipped recipe is made of or reads."""
    new = new_recipe(options.name, options.origin)
    files = [str(new.recipe), *map(str, new.copies), str(new.schema)]
    folders = sorted({f"{copy.parts[0]}/" for copy in new.copies})
    made = ", ".join([str(new.recipe), *folders, str(new.schema)])
    text = f"wrote {made} from {new.origin}\nnext: recipe run {new.recipe}"
    emit(options, {"recipe": str(new.recipe), "made": files}, text)
    return 0
