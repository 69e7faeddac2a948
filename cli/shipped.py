"""Finds recipes: files, and by bare name those that ship."""

from __future__ import annotations

from difflib import get_close_matches
from importlib.resources import files
from pathlib import Path

from ..schema.errors import InputError


def shipped_folder() -> Path:
    """Return the folder of the recipes that ship."""
    return Path(str(files("khichdi.recipes"))).resolve()


def shipped_recipes() -> list[Path]:
    """Return the recipes that ship, sorted by name."""
    return sorted(shipped_folder().glob("*.yaml"))


def by_bare_name(name: str, folder: Path) -> bool:
    """Return whether a name is no file in this folder, and so means a recipe that ships."""
    return "/" not in name and not (folder / name).is_file()


def open_recipe(name: str, folder: Path) -> tuple[Path, bytes]:
    """Return a recipe's path and bytes.

    `name` is a path seen from `folder`; a bare name that is no file there means the shipped
    recipe of that name, with or without `.yaml`.

    Raises:
        InputError: there is none; says which shipped one may have been meant.
    """
    path = folder / name
    if by_bare_name(name, folder):
        stem = name.removesuffix(".yaml")
        shipped = shipped_folder() / f"{stem}.yaml"
        if shipped.is_file():
            path = shipped
    try:
        return path.resolve(), path.read_bytes()
    except FileNotFoundError:
        raise InputError(f"there is no recipe {name}", hint=_hint(name)) from None
    except IsADirectoryError:
        raise InputError(f"{name} is a folder, a recipe file was expected") from None
    except OSError as error:
        raise InputError(f"cannot read {name}: {error.strerror}") from None


def _hint(name: str) -> str:
    names = [path.stem for path in shipped_recipes()]
    near = get_close_matches(Path(name).stem, names, n=1)
    if near:
        return f"did you mean {near[0]}.yaml, which ships?"
    return f"those that ship: {', '.join(names)}"
