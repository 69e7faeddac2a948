"""Start a recipe of your own: a copy of a shipped one, with the files that it reads."""

from __future__ import annotations

import re
import shutil
from argparse import ArgumentParser, Namespace
from pathlib import Path

from ..schema.errors import InputError
from .output import emit
from .shipped import open_recipe, shipped_folder


def arguments(parser: ArgumentParser) -> None:
    """Add what this command takes."""
    parser.add_argument("name", metavar="NAME", help="what your recipe is called")
    parser.add_argument(
        "--from", dest="origin", metavar="RECIPE", default="quickstart", help="the shipped one"
    )


def run(options: Namespace) -> int:
    """Write NAME.yaml, and the folder of files of the recipe it is from where it has one."""
    name = options.name.removesuffix(".yaml")
    if not re.fullmatch(r"[a-z0-9][a-z0-9._-]*", name):
        raise InputError(
            f"`{name}` cannot name a recipe", hint="use lower-case letters, digits, dots and dashes"
        )
    origin, raw = open_recipe(options.origin, shipped_folder())
    target = Path(f"{name}.yaml")
    if target.exists():
        raise InputError(f"{target} exists already", hint="choose another name")
    text = re.sub(r"(?m)^name: .*$", f"name: {name}", raw.decode(), count=1)
    made = [str(target)]
    files = origin.with_suffix("")
    if files.is_dir():
        folder = Path(files.name)
        if folder.exists():
            raise InputError(f"{folder}/ exists already", hint="start in an empty folder")
        shutil.copytree(files, folder, ignore=shutil.ignore_patterns("__pycache__", "*.py"))
        made.append(f"{folder}/")
    target.write_text(text, encoding="utf-8")
    emit(
        options,
        {"recipe": str(target), "made": made},
        f"wrote {', '.join(made)} from {origin.name}\nnext: recipe run {target}",
    )
    return 0
