"""Find recipes: files, and by bare name those that ship."""

from __future__ import annotations

import os
import stat
from importlib.resources import files
from pathlib import Path

from ..schema.decoding import MAX_BYTES, too_large
from ..schema.did_you_mean import nearest
from ..schema.errors import Diagnostic, InputError, RecipeError
from ..schema.secrets import secrets_in


def shipped_folder() -> Path:
    """Return the folder of the recipes that ship."""
    return Path(str(files("khichdi.recipes"))).resolve()


def shipped_recipes() -> list[Path]:
    """Return the recipes that ship, sorted by name."""
    return sorted(shipped_folder().glob("*.yaml"))


def by_bare_name(name: str, folder: Path) -> bool:
    """Return whether a name is not a file in this folder, and so means a recipe that ships."""
    return "/" not in name and not os.path.isfile(folder / name)


def is_shipped(name: str) -> bool:
    """Return whether a recipe of this bare name ships."""
    return "/" not in name and os.path.isfile(_shipped(name))


def _shipped(name: str) -> Path:
    return shipped_folder() / f"{name.removesuffix('.yaml')}.yaml"


def open_recipe(name: str, folder: Path) -> tuple[Path, bytes]:
    """Return a recipe's path and bytes.

    `name` is a path seen from `folder`; a bare name that is not a file there means the shipped
    recipe of that name, with or without `.yaml`.

    Raises:
        InputError: there is none; suggests a shipped one. Or it is not a file.
        RecipeError: it is too large, and is not read then; or there is a secret in it.
    """
    shipped = by_bare_name(name, folder) and is_shipped(name)
    path = _shipped(name) if shipped else folder / name
    try:
        raw = _bytes(path, name)
        refuse_secrets(raw, name)
        return path.resolve(), raw
    except (FileNotFoundError, NotADirectoryError):
        if name.endswith(".py"):
            raise InputError(f"there is no plugin file {name}") from None
        raise InputError(f"there is no recipe {name}", hint=_hint(name)) from None
    except OSError as error:
        raise InputError(f"cannot read {name}: {error.strerror}") from None
    except ValueError:
        raise InputError(f"{name!r} cannot be the name of a file") from None


def refuse_secrets(raw: bytes, name: str) -> None:
    """Refuse a text with a secret, which every plan, lock and record would keep.

    Raises:
        RecipeError: names each secret's place and kind, and never shows it.
    """
    found = []
    for secret in secrets_in(raw):
        start = raw.rfind(b"\n", 0, secret.start) + 1
        column = len(raw[start : secret.start].decode(errors="replace")) + 1
        line = raw.count(b"\n", 0, secret.start) + 1
        message = f"{secret.kind} must not be in a recipe: records and locks would keep it"
        hint = "remove it and revoke it; log in with the tool that asks for it"
        found.append(Diagnostic(name, line, column, "secret", message, hint))
    if found:
        raise RecipeError(found)


def _bytes(path: Path, name: str) -> bytes:
    """Return a file's bytes; a device or pipe is refused, and nothing is read without a limit."""
    mode = path.stat().st_mode
    if stat.S_ISDIR(mode):
        raise InputError(f"{name} is a folder, a recipe file was expected")
    if not stat.S_ISREG(mode):
        raise InputError(
            f"{name} is a device or a pipe, a recipe file was expected",
            hint="write the recipe to a file",
        )
    with path.open("rb") as file:
        raw = file.read(MAX_BYTES + 1)
        if len(raw) > MAX_BYTES:
            raise too_large(max(len(raw), os.fstat(file.fileno()).st_size), name)
        return raw


def _hint(name: str) -> str:
    names = [path.stem for path in shipped_recipes()]
    near = nearest(Path(name).stem, names)
    if near:
        return f"did you mean {near}.yaml, which ships?"
    return f"those that ship: {', '.join(names)}"
