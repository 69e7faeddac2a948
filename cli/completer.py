"""Answer a shell that asks how a command line goes on.

The shell starts `recipe` at every key, so only the module of the command on the line is imported,
and names of recipes and runs are read from their folders.
"""

from __future__ import annotations

import argparse
import os
import shlex
from typing import Any

from .command_table import COMMANDS, add_arguments, module_of

RECIPES = ("file", "files", "origin")
RUNS = ("run", "runs")
"""Names of arguments that take a recipe, and of those that take a run."""


def complete() -> int:
    """Write the completions to the shell; nothing where argcomplete is not installed."""
    try:
        import argcomplete
    except ModuleNotFoundError:
        return 0
    argcomplete.autocomplete(
        parser_of(os.environ.get("COMP_LINE", "")), always_complete_options=False
    )
    return 0


def parser_of(line: str) -> argparse.ArgumentParser:
    """Return a parser of all commands, with the arguments of the one that is on the line."""
    parser = argparse.ArgumentParser(prog="recipe", add_help=False)
    commands = parser.add_subparsers()
    named = _command(line)
    for name, text in COMMANDS.items():
        command = commands.add_parser(name, help=text, add_help=False)
        if name == named:
            add_arguments(command, module_of(name))
            for action in command._actions:
                _attach(action)
    return parser


def _command(line: str) -> str | None:
    try:
        words = shlex.split(line)
    except ValueError:  # a quotation that is still open
        words = line.split()
    return words[1] if len(words) > 1 and words[1] in COMMANDS else None


def _attach(action: Any) -> None:
    """Give an argument what completes it; others are completed as names of files."""
    if action.dest in RECIPES and action.choices is None:
        action.completer = _recipes
    elif action.dest in RUNS:
        action.completer = _runs


def _recipes(prefix: str, **_: Any) -> list[str]:
    """Return shipped recipes, and the YAML files and folders of this folder."""
    from ..project.bundled_recipes import shipped_folder

    here = _entries(os.path.dirname(prefix) or ".", os.path.dirname(prefix))
    return sorted({*(path.name for path in shipped_folder().glob("*.yaml")), *here})


def _entries(folder: str, start: str) -> list[str]:
    try:
        entries = list(os.scandir(folder))
    except OSError:
        return []
    names = [f"{one.name}/" if one.is_dir() else one.name for one in entries]
    return [os.path.join(start, name) for name in names if name.endswith((".yaml", ".yml", "/"))]


def _runs(prefix: str, parsed_args: Any = None, **_: Any) -> list[str]:
    """Return the names of the store's runs, and `latest`."""
    from ..project.session import store_folder

    folder = store_folder(getattr(parsed_args, "store", None)) / "runs"
    there = [one.name for one in os.scandir(folder)] if folder.is_dir() else []
    return sorted(name for name in [*there, "latest"] if not name.startswith("."))
