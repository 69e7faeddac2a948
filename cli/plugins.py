"""List, show, create and check plugins.

    recipe plugins [KIND]                  kind, name, version, distribution, summary
    recipe plugins show NAME               parameters, and an example that validates
    recipe plugins new NAME --kind KIND    create a distribution, ready to install; with --file a
                                           single file to put beside a recipe
    recipe plugins check [NAME ...]        run the conformance kit on installed plugins, or on
                                           those of a plugin file, FILE.py

Where plugins of two kinds share a name, write KIND/NAME.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from importlib import import_module

from ..plugins.kinds import KINDS
from ..project.plugin_description import list_plugins
from ..schema.errors import InputError
from .output import columns, emit

ACTIONS = ("show", "new", "check")


def arguments(parser: ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.formatter_class = RawDescriptionHelpFormatter
    parser.add_argument("what", nargs="?", metavar="KIND", help="a kind, or show, new, check")
    parser.add_argument("names", nargs="*", metavar="NAME", help="plugins, for show, new, check")
    parser.add_argument("--kind", choices=list(KINDS), help="the kind of the plugin")
    parser.add_argument(
        "--file", action="store_true", help="`new` writes a plugin file to put beside a recipe"
    )
    parser.add_argument("--into", metavar="DIR", default=".", help="parent folder for `new`")


def run(options: Namespace) -> int:
    """Do what was asked: without a word of its own, list."""
    if options.what in ACTIONS:
        done: int = import_module(f".plugins_{options.what}", __package__).run(options)
        return done
    if options.names:
        raise InputError(
            f"`{options.what}` takes no name", hint=f"did you mean `show {options.names[0]}`?"
        )
    return _list(options, options.what or options.kind)


def _list(options: Namespace, kind: str | None) -> int:
    """Print a line per plugin."""
    found = list_plugins(kind, ACTIONS)
    rows = [tuple(str(value) for value in plugin.values()) for plugin in found]
    emit(options, found, columns(rows))
    return 0
