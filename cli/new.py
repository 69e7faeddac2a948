"""Create a recipe of your own: a copy of a shipped one, with the files that it reads."""

from __future__ import annotations

import contextlib
import re
import shutil
from argparse import ArgumentParser, Namespace
from pathlib import Path

from ..compiler.compile import compile_recipe
from ..plugins.registry import load_registry
from ..schema.errors import InputError
from .output import emit
from .schema import modeline, name_schema, write_schema
from .shipped import open_recipe, shipped_folder


def arguments(parser: ArgumentParser) -> None:
    """Add what this command takes."""
    parser.add_argument("name", metavar="NAME", help="name of your recipe")
    parser.add_argument(
        "--from",
        dest="origin",
        metavar="RECIPE",
        default="quickstart",
        help="the shipped recipe to copy",
    )


def run(options: Namespace) -> int:
    """Write NAME.yaml, and beside it every file that the shipped recipe is made of or reads."""
    name = options.name.removesuffix(".yaml")
    if not re.fullmatch(r"[a-z0-9][a-z0-9._-]*", name):
        raise InputError(
            f"`{name}` cannot name a recipe", hint="use lower-case letters, digits, dots and dashes"
        )
    origin, raw = open_recipe(options.origin, shipped_folder())
    target = Path(f"{name}.yaml")
    copies = {path: Path(path.relative_to(shipped_folder())) for path in _needed(options.origin)}
    for path in (target, *copies.values()):
        if path.exists():
            raise InputError(f"{path} exists already", hint="start in an empty folder")
    try:
        for path, copy in copies.items():
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)
            if copy.suffix == ".yaml" and copy.read_text("utf-8").startswith(modeline("")):
                copy.write_text(name_schema(copy.read_text("utf-8"), copy), encoding="utf-8")
        text = re.sub(r"(?m)^name: .*$", f"name: {name}", raw.decode(), count=1)
        target.write_text(name_schema(text, target), encoding="utf-8")
        schema = write_schema(Path())
    except BaseException:
        _take_back([target, *copies.values()])
        raise
    folders = sorted({f"{copy.parts[0]}/" for copy in copies.values()})
    made = ", ".join([str(target), *folders, str(schema)])
    emit(
        options,
        {
            "recipe": str(target),
            "made": [str(target), *map(str, copies.values()), str(schema)],
        },
        f"wrote {made} from {origin.name}\nnext: recipe run {target}",
    )
    return 0


def _take_back(paths: list[Path]) -> None:
    """Remove what was made half-way, so that the same command can be given again."""
    for path in paths:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)
            path.parent.rmdir()  # where nothing else is in it


def _needed(name: str) -> list[Path]:
    """Return the recipes that a shipped recipe extends and the files that its sources read."""
    registry = load_registry()
    compiled = compile_recipe(name, shipped_folder(), open_recipe, registry)
    found = compiled.loaded.files[1:]
    for step in compiled.plan.steps:
        if step.kind == "source" and step.plugin.name == "files":
            folder = compiled.folders[step.name]
            source = registry.create("source", "files", step.plugin.params)
            root = folder / source.params.folder
            found += [root / file.path for file in source.pin(folder).files]
    return found
