"""Create a plugin distribution, ready to install and test, or a single plugin file."""

from __future__ import annotations

import os
import shutil
from argparse import Namespace
from pathlib import Path

from ..plugins.class_checks import NAME
from ..plugins.kinds import KINDS
from ..schema.errors import InputError
from .output import emit


def run(options: Namespace) -> int:
    """Write the distribution to a new folder, or the plugin file."""
    from ..plugins.starter import distribution

    name = options.names[0] if len(options.names) == 1 else ""
    if not NAME.fullmatch(name):
        raise InputError(
            "one name was expected: lower-case words joined by dashes",
            hint="for instance `recipe plugins new no-shouting --kind filter`",
        )
    if options.kind is None:
        raise InputError("which kind?", hint=f"say --kind and one of {', '.join(KINDS)}")
    if options.file:
        return _file(name, options)
    folder = Path(options.into) / f"khichdi-{name}"
    if folder.exists():
        raise InputError(f"{folder} is there already", hint="nothing was changed")
    files = distribution(name, options.kind)
    try:
        for path, text in files.items():
            place = folder / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text, encoding="utf-8")
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)  # so that the same command can be given again
        raise
    document = {"folder": str(folder), "files": [path.as_posix() for path in files]}
    lines = [f"{folder}{os.sep}{path}" for path in files]
    lines += ["", f"next: pip install -e {folder}", f"      cd {folder} && python -m pytest"]
    lines += [f"      recipe plugins show {options.kind}/{name}"]
    emit(options, document, "\n".join(lines))
    return 0


def _file(name: str, options: Namespace) -> int:
    """Write a plugin file, and show the lines of a recipe that use it."""
    from ..plugins.starter import plugin_file, recipe_lines

    path = Path(options.into) / f"{name.replace('-', '_')}.py"
    try:
        with path.open("x", encoding="utf-8") as out:
            out.write(plugin_file(name, options.kind))
    except FileExistsError:
        raise InputError(f"{path} is there already", hint="nothing was changed") from None
    lines = [str(path), "", "in a recipe beside it:", f"plugins: [./{path.name}]"]
    text = "\n".join([*lines, recipe_lines(name, options.kind)])
    emit(options, {"file": str(path)}, text)
    return 0
