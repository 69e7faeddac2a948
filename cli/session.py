"""What most commands start from: the registry, the compiled recipe, its lock and its store."""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..compiler.checks.deprecations import deprecated
from ..compiler.compile import Compiled, compile_recipe
from ..plugins.registry import Registry, load_registry
from ..runtime.store.store import Store
from ..schema.errors import InputError, LockError
from ..schema.lock import Lock
from .diagnostics import show
from .setting import set_argument
from .shipped import by_bare_name, open_recipe, refuse_secrets

STORE = ".khichdi"


@dataclass(frozen=True)
class Session:
    """A recipe, ready to be planned, locked or run.

    `lock_file` is where the lock is, or would be written; `settings` are what `--set` set.
    """

    registry: Registry
    compiled: Compiled
    lock: Lock | None
    lock_file: Path
    store: Store
    shipped: bool
    settings: tuple[str, ...] = ()


def recipe_argument(parser: ArgumentParser, *, settings: bool = True) -> None:
    """Add the recipe that a command is about, and values set for this once."""
    parser.add_argument("file", metavar="FILE", help="a recipe, or a shipped one's name")
    if settings:
        set_argument(parser)


def open_session(options: Namespace, recipe: str, settings: Sequence[str] | None = None) -> Session:
    """Compile a recipe with its lock, and with the values that `--set` sets.

    Raises:
        InputError: there is no such recipe, or it is wrong, or its lock cannot be read.
    """
    folder = Path.cwd()
    chosen = tuple(getattr(options, "settings", ()) if settings is None else settings)
    refuse_secrets("\n".join(chosen).encode(errors="replace"), "--set")
    path, _ = open_recipe(recipe, folder)
    registry = load_registry()
    shipped = by_bare_name(recipe, folder)
    lock_file = lock_path(path, shipped)
    lock = read_lock(lock_file)
    compiled = compile_recipe(recipe, folder, open_recipe, registry, lock, chosen)
    registry = compiled.registry
    warnings = deprecated(compiled.loaded, registry)
    if warnings and not (options.quiet or options.json):
        show(warnings, sys.stderr, "warning")
    store = Store(store_folder(options, None if shipped else path))
    return Session(registry, compiled, lock, lock_file, store, shipped, chosen)


def read_lock(path: Path) -> Lock | None:
    """Return a lock, or None where there is none.

    Raises:
        LockError: the file is not a lock.
    """
    if not path.is_file():
        return None
    try:
        return Lock.from_json(path.read_bytes(), str(path))
    except InputError as error:
        hint = "bring it back as it was, or remove it and pin again with `recipe lock FILE`"
        raise LockError(error.message, file=str(path), hint=hint) from None


def lock_path(recipe: Path, shipped: bool) -> Path:
    """Return the lock's path: beside the recipe; for a shipped one without, in this folder."""
    beside = recipe.with_suffix(".lock")
    if shipped and not beside.is_file():
        return Path.cwd() / beside.name
    return beside


def store_folder(options: Namespace, recipe: Path | None = None) -> Path:
    """Return the store: `--store`, else KHICHDI_STORE, else `.khichdi` in the recipe's project.

    The project is the nearest folder above the recipe that has a store already or is the root of a
    git repository, else the recipe's folder. Without a recipe, and for one that ships, the search
    starts in the working folder.
    """
    chosen = options.store or os.environ.get("KHICHDI_STORE")
    if chosen:
        return Path(chosen).absolute()
    start = Path.cwd() if recipe is None else recipe.parent
    for folder in (start, *start.parents):
        if (folder / STORE).is_dir() or (folder / ".git").exists():
            return folder / STORE
    return start / STORE
