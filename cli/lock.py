"""Pin the exact bytes of every source and weight, in a lock beside the recipe."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence

from ..compiler.compile import compile_recipe, with_lock
from ..compiler.lower import is_current
from ..runtime.sources.pin import pin, stale
from ..runtime.store.store import write_atomically
from ..schema.errors import InputError
from ..schema.lock import Lock, Material
from .mirrors import mirror_argument, open_mirror
from .output import columns, emit, short, size
from .session import Session, open_session, recipe_argument
from .shipped import open_recipe


def arguments(parser: ArgumentParser) -> None:
    """Add what this command takes."""
    recipe_argument(parser, settings=False)
    mirror_argument(parser)
    parser.add_argument(
        "--update", metavar="NAME", action="append", default=[],
        help="pin this source anew (`base`, `data/lima/source`), or accept this plugin file as it "
        "is now (`my_filters.py`); `all` for every one",
    )  # fmt: skip
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit 1 if the lock would change"
    )


def run(options: Namespace) -> int:
    """Write the lock, or say whether it would change."""
    session = open_session(options, options.file)
    if options.check:
        return _check(session, options)
    plan = session.compiled.plan
    known = [step.name for step in plan.steps if step.kind == "source"]
    known += [file.name for file in session.registry.plugin_files(plan)]
    for name in options.update:
        if name not in (*known, "all"):
            hint = f"the lock has {', '.join(known)}"
            raise InputError(f"there is no source or plugin file `{name}`", hint=hint)
    again = ["*"] if "all" in options.update else options.update
    lock = write_lock(session, options, again=again)
    plan = with_lock(session.compiled, session.registry, lock).plan
    rows = [
        (
            name,
            material.use,
            f"{len(material.files)} files",
            size(sum(f.size for f in material.files)),
        )
        for name, material in lock.materials.items()
    ]
    text = f"{columns(rows)}\nwrote {session.lock_file}\nrecipe hash  {short(plan.recipe_hash)}"
    emit(options, {"lock": str(session.lock_file), "recipe_hash": plan.recipe_hash}, text)
    return 0


def _check(session: Session, options: Namespace) -> int:
    """Say what would change: what is missing or stale, what nothing uses, other plugins."""
    lock = session.lock
    missing = stale(session.compiled.plan, lock, session.registry)
    used = {step.name for step in session.compiled.plan.steps if step.kind == "source"}
    unused = sorted(lock.materials.keys() - used) if lock else []
    pinned = {one.name: one.version for one in lock.plugins} if lock else {}
    installed = session.registry.distributions(session.compiled.plan) if lock else ()
    here = {one.name: one.version for one in installed}
    plugins = {
        name: [pinned.get(name), here.get(name)]
        for name in sorted(pinned | here)
        if pinned.get(name) != here.get(name)
    }
    lines = [f"the lock lacks {', '.join(missing)}"] if missing else []
    lines += [f"the lock has {', '.join(unused)}, which nothing uses"] if unused else []
    lines += [
        f"plugins of {name}: locked {before or 'none'}, installed {now or 'none'}"
        for name, (before, now) in plugins.items()
    ]
    document = {
        "complete": not missing,
        "missing": missing,
        "unused": unused,
        "plugins": plugins,
    }
    emit(options, document, "\n".join(lines) or "the lock is complete")
    return 1 if lines else 0


def write_lock(session: Session, options: Namespace, *, again: Sequence[str] = ()) -> Lock:
    """Pin what the lock lacks and what is asked for again; write the lock and return it.

    The lock is of the recipe as it is written: what `--set` asks for instead is pinned for this
    once, and is returned but not written.
    """

    def report(name: str, material: Material | None) -> None:
        if material is None and not (options.quiet or options.json):
            print(f"  pinning {name} …", file=sys.stderr)

    compiled = session.compiled
    lock = pin(
        compiled.plan,
        compiled.folders,
        session.registry,
        session.lock,
        again=again,
        mirror=open_mirror(options),
        report=report,
    )
    lasting = _lasting(session, lock)
    if lasting is not None and lasting != session.lock:
        write_atomically(session.lock_file, lasting.to_text())
    return lock


def _lasting(session: Session, lock: Lock) -> Lock | None:
    """Return the lock of the recipe as it is written, without what is set for this once."""
    if not session.settings:
        return lock
    path = session.compiled.loaded.path
    try:
        written = compile_recipe(
            str(path), path.parent, open_recipe, session.registry, session.lock
        ).plan
    except InputError:  # only what is set makes it whole
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
    return lock.model_copy(update={"materials": materials, "recipe": written.recipe})
