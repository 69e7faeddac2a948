"""Write a new plugin: a distribution that installs, or a file beside a recipe."""

from __future__ import annotations

import shutil
from pathlib import Path

from ..plugins.class_checks import NAME
from ..plugins.kinds import KINDS
from ..plugins.starter import distribution, plugin_file
from ..schema.errors import InputError


def new_distribution(name: str, kind: str, into: Path) -> tuple[Path, list[Path]]:
    """Write a distribution; return its folder, and its files as paths in it.

    Raises:
        InputError: the name cannot be that of a plugin, there is no such kind, or the folder is
            there already. Nothing is left behind then.
    """
    _check(name, kind)
    folder = into / f"khichdi-{name}"
    if folder.exists():
        raise InputError(f"{folder} is there already", hint="nothing was changed")
    files = distribution(name, kind)
    try:
        for path, text in files.items():
            place = folder / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text, encoding="utf-8")
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)  # so that the same command can be given again
        raise
    return folder, [Path(path) for path in files]


def new_plugin_file(name: str, kind: str, into: Path) -> Path:
    """Write a plugin file, and return its path.

    Raises:
        InputError: the name cannot be that of a plugin, there is no such kind, or the file is
            there already.
    """
    _check(name, kind)
    path = into / f"{name.replace('-', '_')}.py"
    try:
        with path.open("x", encoding="utf-8") as out:
            out.write(plugin_file(name, kind))
    except FileExistsError:
        raise InputError(f"{path} is there already", hint="nothing was changed") from None
    return path


def _check(name: str, kind: str | None) -> None:
    if not NAME.fullmatch(name):
        raise InputError(
            "one name was expected: lower-case words joined by dashes",
            hint="for instance `recipe plugins new no-shouting --kind filter`",
        )
    if kind not in KINDS:
        raise InputError("which kind?", hint=f"add --kind and one of: {', '.join(KINDS)}")
