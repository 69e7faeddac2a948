"""Pin sources and plugin files: complete a lock, check it, and write it beside the recipe."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ..compiler.compile import compile_recipe, with_lock
from ..compiler.plan_graph import is_current
from ..runtime.sources.mirror import Mirror
from ..runtime.sources.pin import other_plugins, pin, stale
from ..runtime.store.store import write_atomically
from ..schema.errors import InputError, LockError
from ..schema.lock import Lock, Material
from .base_files import refuse_base
from .bundled_recipes import open_recipe
from .observer import Observer
from .session import Session


def write_lock(
    session: Session, observer: Observer, *, again: Sequence[str] = (), mirror: Mirror | None = None
) -> Session:
    """Pin sources that the lock lacks or that are asked for again; write it; return the session.

    The lock is of the recipe as it is written: what settings ask for instead is pinned for this
    once, and is in the session's lock but not written.

    Args:
        session: the recipe.
        observer: receives a notice for each source that is pinned.
        again: sources to pin again, and plugin files to accept as they are now; `all` for every
            one.
        mirror: asked for bytes instead of the places that sources name.

    Raises:
        InputError: there is no such source or plugin file.
        FetchError: a source cannot be reached, or has nothing that was asked for.
        LockError: a plugin file has changed, and `again` does not name it.
        RecipeError: the base cannot be trained, by its `config.json`.
    """

    def report(name: str, material: Material | None) -> None:
        if material is None:
            observer.notice(f"  pinning {name} …")

    compiled = session.compiled
    _check_names(session, again)
    lock = pin(
        compiled.plan,
        compiled.folders,
        session.registry,
        session.lock,
        again=["*"] if "all" in again else again,
        mirror=mirror,
        report=report,
    )
    locked = replace(session, lock=lock, compiled=with_lock(compiled, session.registry, lock))
    refuse_base(locked, mirror)
    lasting = _lasting(session, lock)
    if lasting is not None and lasting != session.lock:
        write_atomically(session.lock_file, lasting.to_text())
    return locked


def _check_names(session: Session, names: Sequence[str]) -> None:
    """Refuse names that are neither sources, nor plugin files, nor `all`."""
    plan = session.compiled.plan
    known = [step.name for step in plan.steps if step.kind == "source"]
    known += [file.name for file in session.registry.plugin_files(plan)]
    for name in names:
        if name not in (*known, "all"):
            hint = f"the lock has {', '.join(known)}"
            raise InputError(f"there is no source or plugin file `{name}`", hint=hint)


def completed(
    session: Session, observer: Observer, *, locked: bool = False, mirror: Mirror | None = None
) -> Session:
    """Return the session with a complete lock; `locked` refuses to pin anything.

    Raises:
        LockError: the lock is not complete and pinning is refused, or a plugin file has changed.
        FetchError: a source cannot be reached, or has nothing that was asked for.
    """
    missing = stale(session.compiled.plan, session.lock, session.registry)
    if not missing:
        return session
    if locked:
        hint = f"pin with `recipe lock {session.name}`"
        raise LockError(f"the lock lacks {', '.join(missing)}", hint=hint)
    session = write_lock(session, observer, mirror=mirror)
    if not session.settings:
        observer.notice(f"  wrote {session.lock_file}")
    return session


def report_other_plugins(session: Session, observer: Observer) -> None:
    """Send a notice where plugins are not those that the lock was made with."""
    if session.lock is None:
        return
    found = other_plugins(session.lock, session.registry.distributions(session.compiled.plan))
    for difference in found:
        observer.notice(f"  {difference}")
    if found:
        observer.notice("  steps whose plugin raised its version run again; `recipe lock` notes it")


@dataclass(frozen=True)
class LockCheck:
    """How a lock differs from the one that would be written now.

    Attributes:
        missing: sources that are not pinned, or pinned for another request; unlocked plugin files.
        unused: pinned sources that the recipe does not have.
        plugins: by distribution, its locked and its installed version where they differ.
    """

    missing: list[str]
    unused: list[str]
    plugins: dict[str, tuple[str | None, str | None]]

    @property
    def current(self) -> bool:
        """Whether nothing would change."""
        return not (self.missing or self.unused or self.plugins)


def check_lock(session: Session) -> LockCheck:
    """Compare the lock with the recipe and the installed plugins; write nothing."""
    lock, plan = session.lock, session.compiled.plan
    used = {step.name for step in plan.steps if step.kind == "source"}
    unused = sorted(lock.materials.keys() - used) if lock else []
    pinned = {one.name: one.version for one in lock.plugins} if lock else {}
    installed = session.registry.distributions(plan) if lock else ()
    here = {one.name: one.version for one in installed}
    plugins = {
        name: (pinned.get(name), here.get(name))
        for name in sorted(pinned | here)
        if pinned.get(name) != here.get(name)
    }
    return LockCheck(stale(plan, lock, session.registry), unused, plugins)


def _lasting(session: Session, lock: Lock) -> Lock | None:
    """Return the lock of the recipe as written, without `--set` and `--until`."""
    if not session.settings and session.compiled.until is None:
        return lock
    path = session.compiled.loaded.path
    try:
        written = compile_recipe(
            str(path), path.parent, open_recipe, session.registry, session.lock
        ).plan
    except InputError:  # only `--set` makes it complete
        return session.lock
    materials = {}
    for step in written.steps:
        if step.kind == "source":
            pinned = lock.materials.get(step.name)
            material = pinned if is_current(pinned, step.plugin) else step.material
            if material is not None:
                materials[step.name] = material
    if not materials:
        return session.lock
    update: dict[str, object] = {"materials": materials, "recipe": written.recipe}
    if session.compiled.until is not None:
        update["plugins"] = session.registry.distributions(written)
    return lock.model_copy(update=update)
