"""The recipes of a board: those that ship, and those in the folder that it was started in."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ...runtime.store.atomic_io import write_atomically
from ...schema.decoding import MAX_BYTES
from ...schema.errors import InputError, KhichdiError
from ...schema.yaml_reader import parse
from ..bundled_recipes import is_shipped, open_recipe, refuse_secrets, shipped_recipes

ENDINGS = (".yaml", ".yml")
DEEPEST = 4
"""Folders below the board's that are looked into."""
MOST = 500
"""Recipes that are listed, at most."""
LOOK = 4096
"""Bytes in which a recipe says that it is one."""
RECIPE = re.compile(rb"^(recipe|extends)[ \t]*:", re.MULTILINE)


class ChangedError(InputError):
    """The file is not as it was when its text was shown."""

    code = "changed"


@dataclass(frozen=True)
class RecipeFile:
    """A recipe of a board: its name, which opens it, its description, and whether it ships."""

    name: str
    description: str
    shipped: bool


@dataclass(frozen=True)
class RecipeText:
    """A recipe's text, and the digest that says whether the file is still as it was."""

    name: str
    text: str
    digest: str
    shipped: bool


@dataclass(frozen=True)
class RecipeFolder:
    """The folder that a board was started in; nothing outside it is read, but what ships."""

    root: Path

    def list(self) -> list[RecipeFile]:
        """Return the folder's own recipes by name, then those that ship."""
        own = sorted(_recipes(self.root, self.root))
        found = [RecipeFile(name, _description(self.root / name), False) for name in own[:MOST]]
        return found + [RecipeFile(p.name, _description(p), True) for p in shipped_recipes()]

    def path(self, name: str) -> Path:
        """Return the path of a recipe of this folder, whether or not it is there.

        Raises:
            InputError: the name leaves the folder, is hidden, or is not of a YAML file.
        """
        parts = Path(name).parts
        if not parts or not name.endswith(ENDINGS) or not name.isprintable():
            raise InputError(f"{name[:80]!r} is not the name of a recipe", hint=_EXPECTED)
        inside = not Path(name).is_absolute() and not any(part.startswith(".") for part in parts)
        path = self.root / name
        if not inside or not path.resolve().is_relative_to(self.root.resolve()):
            raise InputError(f"{name[:80]!r} is not in the board's folder", hint=_EXPECTED)
        return path

    def read(self, name: str, *, shipped: bool = False) -> RecipeText:
        """Return a recipe's text.

        Raises:
            InputError: there is no such recipe.
            RecipeError: it is too large, or has a secret, which is not shown.
        """
        if shipped:
            if not is_shipped(name):
                raise InputError(f"no recipe {name[:80]} ships")
            _, raw = open_recipe(name, _NOWHERE)
        else:
            self.path(name)
            _, raw = open_recipe(f"./{name}", self.root)
        text = raw.decode("utf-8", errors="replace")
        return RecipeText(name, text, hashlib.sha256(raw).hexdigest(), shipped)

    def save(self, name: str, text: str, digest: str) -> None:
        """Write a recipe of this folder.

        Args:
            name: its name.
            text: what it is to be.
            digest: of the file that the text was made from; empty for a new one.

        Raises:
            ChangedError: the file has changed since, or is there already.
            InputError: it is not a name in this folder, or its folder is not there.
            RecipeError: there is a secret in the text, which is not written.
            StoreError: it cannot be written.
        """
        path = self.path(name)
        raw = text.encode()
        if len(raw) > MAX_BYTES:
            raise InputError(f"{name} would have {len(raw):,} bytes, at most {MAX_BYTES:,} fit")
        refuse_secrets(raw, name)
        if not path.parent.is_dir():
            raise InputError(f"there is no folder {path.parent.name}", hint="make it first")
        there = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        if there != digest:
            what = "has changed since it was opened" if digest else "is there already"
            raise ChangedError(f"{name} {what}: nothing was written", hint=_CHANGED)
        write_atomically(path.resolve(), text)

    def opener(self, edited: RecipeText | None = None) -> Opener:
        """Return what opens recipes and the files that they name, with one as it is edited."""
        return Opener(self, edited)


@dataclass(frozen=True)
class Opener:
    """Opens files of the board's folder and recipes that ship, and no others."""

    folder: RecipeFolder
    edited: RecipeText | None

    def __call__(self, name: str, folder: Path) -> tuple[Path, bytes]:
        """Return a file's path and bytes; those of the edited recipe are as they are edited.

        Raises:
            InputError: there is none, or it lies outside the folder.
            RecipeError: it is too large, or there is a secret in it.
        """
        edited = self.edited
        if edited is not None and name == f"./{edited.name}" and folder == self.folder.root:
            raw = edited.text.encode(errors="replace")
            refuse_secrets(raw, edited.name)
            return (self.folder.root / edited.name).resolve(), raw
        ships = "/" not in name and is_shipped(name) and not os.path.isfile(folder / name)
        if not ships:
            path = (folder / name).resolve()
            shipped = path.is_relative_to(shipped_recipes()[0].parent)
            if not shipped and not path.is_relative_to(self.folder.root.resolve()):
                raise InputError(
                    f"{name[:80]} lies outside {self.folder.root}", hint="the board reads no others"
                )
        return open_recipe(name, folder)


_NOWHERE = Path(os.devnull) / "none"
_EXPECTED = "expected: a path below the board's folder, such as `mine/chats.yaml`"
_CHANGED = "copy your text, open the recipe again, and put the two together"


def _recipes(folder: Path, root: Path, depth: int = 0) -> Iterator[str]:
    """Yield the recipes of a folder and those below, by their paths from the root."""
    try:
        with os.scandir(folder) as entries:
            found = [entry for entry in entries if not entry.name.startswith(".")]
    except OSError:
        return
    for entry in found:
        if entry.is_dir(follow_symlinks=False):
            if depth < DEEPEST and entry.name not in ("node_modules", "site-packages"):
                yield from _recipes(Path(entry.path), root, depth + 1)
        elif entry.name.endswith(ENDINGS) and entry.is_file() and _is_recipe(entry.path):
            yield Path(entry.path).relative_to(root).as_posix()


def _is_recipe(path: str) -> bool:
    try:
        with open(path, "rb") as file:
            return RECIPE.search(file.read(LOOK)) is not None
    except OSError:
        return False


def _description(path: Path) -> str:
    """Return what a recipe says it is; nothing where it cannot be read."""
    try:
        raw = path.read_bytes() if path.stat().st_size <= MAX_BYTES else b""
        found = parse(raw, path.name).data
    except (KhichdiError, OSError):
        return ""
    said = found.get("description") if isinstance(found, dict) else None
    return said if isinstance(said, str) else ""
