"""Open a recipe: the registry, the compiled recipe, its lock and its store."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..compiler.checks.deprecations import deprecated
from ..compiler.compile import Compiled, compile_recipe
from ..compiler.load import Open
from ..plugins.registry import Registry, load_registry
from ..runtime.store.store import Store
from ..schema.errors import Diagnostic, InputError, LockError
from ..schema.lock import Lock
from .bundled_recipes import by_bare_name, open_recipe, refuse_secrets

STORE = ".khichdi"


@dataclass(frozen=True)
class Session:
    """A recipe, ready to be planned, locked or run.

    Attributes:
        name: the recipe as it was asked for: a path, or the bare name of one that ships.
        registry: the installed plugins, and those of the recipe's plugin files.
        compiled: the recipe as written, bound, and lowered to a plan.
        lock: the lock, or None where nothing is pinned yet.
        lock_file: the path of the lock, whether or not it is there.
        store: the store that results are cached in.
        shipped: whether the recipe is one that ships.
        settings: overrides of the recipe's values, each `path=value`, as of `--set`.
        warnings: deprecated plugins and parameters that the recipe uses.
    """

    name: str
    registry: Registry
    compiled: Compiled
    lock: Lock | None
    lock_file: Path
    store: Store
    shipped: bool
    settings: tuple[str, ...] = ()
    warnings: tuple[Diagnostic, ...] = ()


def open_session(
    recipe: str,
    *,
    store: str | Path | None = None,
    settings: Sequence[str] = (),
    allow_breaches: bool = False,
    until: str | None = None,
    opener: Open = open_recipe,
    refusal: str | None = None,
) -> Session:
    """Compile a recipe with its lock and with overrides of its values.

    Args:
        recipe: a path, or the bare name of a recipe that ships.
        store: the store's folder; left out, found as `store_folder` says.
        settings: overrides, each `path=value`, as of `--set`.
        allow_breaches: open it although it breaks one of its rules.
        until: the step or section that its plan is to end with; left out, the last one.
        opener: opens the recipe and the files that it names.
        refusal: how to allow plugin files, where they are not to be run.

    Raises:
        InputError: there is no such recipe or step, or it is wrong, or its lock cannot be read.
    """
    folder = Path.cwd()
    chosen = tuple(settings)
    refuse_secrets("\n".join(chosen).encode(errors="replace"), "--set")
    path, _ = opener(recipe, folder)
    registry = load_registry(refusal=refusal)
    shipped = by_bare_name(recipe, folder)
    lock_file = lock_path(path, shipped)
    lock = read_lock(lock_file)
    compiled = compile_recipe(recipe, folder, opener, registry, lock, chosen, allow_breaches, until)
    registry = compiled.registry
    warnings = tuple(deprecated(compiled.loaded, registry))
    kept = Store(store_folder(store, None if shipped else path))
    return Session(recipe, registry, compiled, lock, lock_file, kept, shipped, chosen, warnings)


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
        hint = "restore it as it was, or remove it and pin again with `recipe lock FILE`"
        raise LockError(error.message, file=str(path), hint=hint) from None


def lock_path(recipe: Path, shipped: bool) -> Path:
    """Return the lock's path: beside the recipe; for a shipped one without, in this folder."""
    beside = recipe.with_suffix(".lock")
    if shipped and not beside.is_file():
        return Path.cwd() / beside.name
    return beside


def store_folder(chosen: str | Path | None = None, recipe: Path | None = None) -> Path:
    """Return the store: the chosen one, else KHICHDI_STORE, else `.khichdi` in the project.

    The project is the nearest folder above the recipe that has a store already or is the root of a
    git repository, else the recipe's folder. Without a recipe, and for one that ships, the search
    starts in the working folder.
    """
    chosen = chosen or os.environ.get("KHICHDI_STORE")
    if chosen:
        return Path(chosen).absolute()
    start = Path.cwd() if recipe is None else recipe.parent
    for folder in (start, *start.parents):
        if (folder / STORE).is_dir() or (folder / ".git").exists():
            return folder / STORE
    return start / STORE
