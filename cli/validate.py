"""Check recipes: all errors at once, each with its position. Exit status 2 if there are any.

Deprecated plugins and parameters, and local files that are not there, are reported as warnings.
The plugin files of a recipe are run, because they define the parameters it may have;
KHICHDI_PLUGINS=none refuses them.
"""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace

from ..project.validation import validate_recipes
from .diagnostics import show
from .output import emit
from .set_option import set_argument


def arguments(parser: ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument(
        "files", nargs="+", metavar="FILE", help="a recipe, or a shipped recipe's name"
    )
    set_argument(parser)


def run(options: Namespace) -> int:
    """Print every error of every file."""
    found = validate_recipes(options.files, options.settings)
    if found.warnings and not options.json:
        show(found.warnings, sys.stderr, "warning")
    if found.errors and not options.json:
        show(found.errors, sys.stdout)
        return 2
    count = len(options.files)
    document = {
        "valid": found.valid,
        "diagnostics": [d.as_json() for d in found.errors],
        "warnings": [d.as_json() for d in found.warnings],
    }
    emit(options, document, f"{count} recipe{'s' * (count != 1)} valid")
    return 0 if found.valid else 2
