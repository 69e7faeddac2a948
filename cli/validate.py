"""Check recipes: all errors at once, each with its place. Exit status 2 when there are any.

Deprecated plugins and parameters are reported too, and are not errors. The plugin files of a recipe
are run, because they say which parameters it may have; KHICHDI_PLUGINS=none refuses them.
"""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path

from ..compiler.checks.deprecations import deprecated
from ..compiler.validate import validate
from ..plugins.registry import load_registry
from ..schema.errors import Diagnostic, InputError, RecipeError
from .diagnostics import show
from .output import emit
from .setting import set_argument
from .shipped import open_recipe, refuse_secrets


def arguments(parser: ArgumentParser) -> None:
    """Add what this command takes."""
    parser.add_argument(
        "files", nargs="+", metavar="FILE", help="a recipe, or a shipped one's name"
    )
    set_argument(parser)


def run(options: Namespace) -> int:
    """Print every error of every file."""
    refuse_secrets("\n".join(options.settings).encode(errors="replace"), "--set")
    registry = load_registry()
    found: list[Diagnostic] = []
    warnings: list[Diagnostic] = []
    for name in options.files:
        try:
            valid = validate(name, Path.cwd(), open_recipe, registry, options.settings)
            warnings.extend(deprecated(valid.loaded, valid.registry))
        except RecipeError as error:
            found.extend(error.diagnostics)
        except InputError as error:
            found.append(Diagnostic(name, 1, 1, error.code, error.message, error.hint))
    found, warnings = (list(dict.fromkeys(some)) for some in (found, warnings))  # each once
    if warnings and not options.json:
        show(warnings, sys.stderr, "warning")
    if found and not options.json:
        show(found, sys.stdout)
        return 2
    count = len(options.files)
    document = {
        "valid": not found,
        "diagnostics": [d.as_json() for d in found],
        "warnings": [d.as_json() for d in warnings],
    }
    emit(options, document, f"{count} recipe{'s' * (count != 1)} valid")
    return 2 if found else 0
