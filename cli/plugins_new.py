"""Create a plugin distribution, ready to install and test, or a single plugin file."""

from __future__ import annotations

import os
from argparse import Namespace
from pathlib import Path

from .output import emit


def run(options: Namespace) -> int:
    """Write the distribution to a new folder, or the plugin file."""
    name = options.names[0] if len(options.names) == 1 else ""
    return _file(name, options) if options.file else _distribution(name, options)


def _distribution(name: str, options: Namespace) -> int:
    from ..project.new_plugin import new_distribution

    folder, files = new_distribution(name, options.kind, Path(options.into))
    document = {"folder": str(folder), "files": [path.as_posix() for path in files]}
    lines = [f"{folder}{os.sep}{path}" for path in files]
    lines += ["", f"next: pip install -e {folder}", f"      cd {folder} && python -m pytest"]
    lines += [f"      recipe plugins show {options.kind}/{name}"]
    emit(options, document, "\n".join(lines))
    return 0


def _file(name: str, options: Namespace) -> int:
    """Write a plugin file, and show the lines of a recipe that use it."""
    from ..plugins.starter import recipe_lines
    from ..project.new_plugin import new_plugin_file

    path = new_plugin_file(name, options.kind, Path(options.into))
    lines = [str(path), "", "in a recipe beside it:", f"plugins: [./{path.name}]"]
    text = "\n".join([*lines, recipe_lines(name, options.kind)])
    emit(options, {"file": str(path)}, text)
    return 0
