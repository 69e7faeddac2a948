"""Open recipes as they were at a git revision, without a checkout.

`REV:path` is git's own way to name a file: seen from the root of the repository, or from here when
it starts with `./`. Bytes come from `git cat-file`, because `git show` would put them through the
`textconv` that a recipe's diff driver may have set.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ..compiler.compile import compile_recipe
from ..plugins.registry import load_registry
from ..runtime.store.store import Store
from ..schema.errors import InputError, RecipeError
from ..schema.lock import Lock
from .bundled_recipes import open_recipe, shipped_folder, shipped_recipes
from .session import Session, store_folder


def revision_of(text: str) -> tuple[str, str] | None:
    """Return (revision, path) of `REV:path`, or None; an empty revision is git's index."""
    revision, colon, path = text.partition(":")
    return (revision, path) if colon and path and not revision.startswith("-") else None


def open_revision(
    text: str, *, store: str | Path | None = None, settings: Sequence[str] = ()
) -> Session:
    """Compile a recipe with all it extends and its lock, everything as it was at a revision.

    Raises:
        InputError: git has no such file there, or the recipe is wrong.
    """
    split = revision_of(text)
    assert split is not None
    tree = _Tree(split[0], _root())
    path = _inside(tree.root, split[1])
    registry = load_registry()
    lock_file = path.with_suffix(".lock")
    raw = tree.read(lock_file)
    lock = Lock.from_json(raw, tree.shown(lock_file)) if raw is not None else None
    try:
        compiled = compile_recipe(
            str(path), tree.root, tree.open_recipe, registry, lock, tuple(settings)
        )
    except RecipeError as error:
        raise RecipeError(
            [replace(fault, file=tree.renamed(fault.file)) for fault in error.diagnostics]
        ) from None
    kept = Store(store_folder(store, path))
    chosen = tuple(settings)
    return Session(text, compiled.registry, compiled, lock, lock_file, kept, False, chosen)


@dataclass(frozen=True)
class _Tree:
    """The files of a repository at a revision; a path names where a file would lie on disk."""

    revision: str
    root: Path

    def open_recipe(self, name: str, folder: Path) -> tuple[Path, bytes]:
        """Open a recipe from the revision, else as `bundled_recipes.open_recipe` does."""
        path = Path(os.path.normpath(folder / name))
        raw = self.read(path)
        if raw is not None:
            return path, raw
        if not path.is_relative_to(self.root):
            return open_recipe(name, folder)
        if "/" not in name and name.removesuffix(".yaml") in (p.stem for p in shipped_recipes()):
            return open_recipe(name, shipped_folder())
        raise InputError(f"there is no {self.shown(path)}", hint=self._hint(path))

    def read(self, path: Path) -> bytes | None:
        if not path.is_relative_to(self.root):
            return None
        done = _git(self.root, "cat-file", "blob", self.shown(path))
        return done.stdout if done.returncode == 0 else None

    def shown(self, path: Path) -> str:
        return f"{self.revision}:{path.relative_to(self.root).as_posix()}"

    def renamed(self, file: str) -> str:
        """Return how a place in a file is named when the file is one of the revision."""
        path = Path(os.path.normpath(Path.cwd() / file))
        known = path.is_relative_to(self.root) and self.read(path) is not None
        return self.shown(path) if known else file

    def _hint(self, path: Path) -> str:
        known = _git(self.root, "rev-parse", "--verify", "-q", f"{self.revision}^0")
        if self.revision and known.returncode != 0:
            return f"git knows no revision `{self.revision}`"
        here = Path.cwd().resolve()
        beside = here / path.relative_to(self.root)
        if here != self.root and self.read(beside) is not None:
            return f"from this folder: {self.revision}:./{path.relative_to(self.root)}"
        return "paths start at the root of the repository, or with ./ in this folder"


def _root() -> Path:
    try:
        done = _git(Path.cwd(), "rev-parse", "--show-toplevel")
    except FileNotFoundError:
        raise InputError("`REV:path` needs git, which is not installed") from None
    if done.returncode != 0:
        raise InputError(
            "`REV:path` is a file in git, and this folder is in no repository",
            hint="change to the repository of the recipe",
        )
    return Path(os.fsdecode(done.stdout.rstrip(b"\n"))).resolve()


def _inside(root: Path, path: str) -> Path:
    start = Path.cwd().resolve() if path.startswith(("./", "../")) else root
    return Path(os.path.normpath(start / path))


def _git(folder: Path, *words: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(["git", *words], cwd=folder, capture_output=True, check=False)
