"""Pin sources to exact bytes, write the lock, and fetch pinned files.

`pin` is what `recipe lock` does: it may reach out, and it is the only thing that decides which
bytes a recipe means. `fetch` downloads those bytes and refuses any others.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping
from pathlib import Path
from typing import Any

from ...plugins.kinds import Pin
from ...plugins.registry import Registry
from ...plugins.result_checks import check_pin
from ...plugins.side_effects import PluginError, bounded, patience, watched
from ...schema.errors import FetchError, KhichdiError, LockError
from ...schema.file_hashing import files_sha256
from ...schema.lock import Distribution, Lock, Material, PinnedFile
from ...schema.plan import Plan, PlanStep, PluginRef
from ...schema.secrets import mask, secrets_in
from .mirror import Mirror


def pin(
    plan: Plan,
    folders: Mapping[str, Path],
    registry: Registry,
    previous: Lock | None = None,
    *,
    again: Iterable[str] = (),
    mirror: Mirror | None = None,
    report: Callable[[str, Material | None], None] = lambda name, material: None,
) -> Lock:
    """Return a lock for every source of a plan, and for the plugin files that it uses.

    What `previous` pins for the same request is kept as it is; `again` names the sources to pin
    again and the plugin files that may have changed (`*` for all). `mirror` is asked instead of the
    places that sources name. `report` is called before (with None) and after each source is pinned.

    Raises:
        FetchError: a source cannot be reached or has nothing that was asked for.
        LockError: a plugin file has changed, and `again` does not name it.
    """
    again = set(again)
    _check_files(plan, registry, previous, again)
    materials = {}
    for step in _sources(plan):
        kept = previous.materials.get(step.name) if previous else None
        fresh = "*" in again or step.name in again
        if kept is not None and not fresh and kept.request == step.plugin.request():
            materials[step.name] = kept
            continue
        report(step.name, None)
        materials[step.name] = _pin_one(step, folders[step.name], registry, mirror)
        report(step.name, materials[step.name])
    return Lock(
        recipe=plan.recipe,
        language=plan.language,
        materials=materials,
        plugins=registry.distributions(plan),
    )


def fetch(
    step: PlanStep, origin: Path, registry: Registry, into: Path, mirror: Mirror | None = None
) -> None:
    """Fetch a locked source's files into a folder, and check each against its pin.

    Raises:
        LockError: the plan is not locked, or the bytes there now are not the pinned ones.
        FetchError: the bytes cannot be had.
    """
    material = step.material
    if material is None:
        raise LockError(f"{step.name} is not pinned", hint="pin it with `recipe lock FILE`")
    source = _create(step.plugin, registry)
    wanted = Pin(files=material.files, revision=material.revision)
    if mirror is not None and not source.local:
        mirror.fetch(source, wanted, into)
    else:
        source.fetch(wanted, origin, into)
    paths = [into / file.path for file in material.files]
    for file, path in zip(material.files, paths, strict=True):
        if path.is_symlink() or not path.is_file():
            raise FetchError(f"{step.name}: {file.path} was pinned and did not arrive")
    for file, path, found in zip(material.files, paths, files_sha256(paths), strict=True):
        if isinstance(found, OSError):
            raise found
        if found != file.sha256:
            raise LockError(
                f"{step.name}: {file.path} is not the file that was pinned: "
                f"{found[:19]}… of {path.stat().st_size:,} bytes, "
                f"the lock has {file.sha256[:19]}… of {file.size:,}",
                hint="put the pinned bytes back, or accept the new ones with "
                f"`recipe lock FILE --update {step.name}`",
            )


def check_local(
    plan: Plan, folders: Mapping[str, Path], registry: Registry, lock: Lock | None = None
) -> None:
    """Compare the sources that are on this machine, and plugin files, with the lock.

    Raises:
        LockError: names every file that is missing, new or changed.
    """
    _check_files(plan, registry, lock)
    for step in _sources(plan):
        source = _create(step.plugin, registry)
        if not source.local or step.material is None:
            continue
        pinned = {file.path: file.sha256 for file in step.material.files}
        found = {file.path: file.sha256 for file in source.pin(folders[step.name]).files}
        changes = [f"missing {path}" for path in sorted(pinned.keys() - found.keys())]
        changes += [f"new {path}" for path in sorted(found.keys() - pinned.keys())]
        changes += [
            f"changed {path}"
            for path in sorted(pinned.keys() & found.keys())
            if pinned[path] != found[path]
        ]
        if changes:
            more = f" and {len(changes) - 5} more" if len(changes) > 5 else ""
            raise LockError(
                f"{step.name}: the files are not the pinned ones: {', '.join(changes[:5])}{more}",
                hint="put the pinned bytes back, or accept these with "
                f"`recipe lock FILE --update {step.name}`",
            )


def _check_files(
    plan: Plan, registry: Registry, lock: Lock | None, again: Container[str] = ()
) -> None:
    """Refuse a plugin file that is not the one in the lock, unless `again` allows another."""
    locked = {one.name: one.files for one in lock.plugins if one.local} if lock else {}
    for one in registry.plugin_files(plan):
        before = locked.get(one.name, one.files)
        if before == one.files or "*" in again or one.name in again:
            continue
        raise LockError(
            f"{one.name} is not the plugin file that was locked: "
            f"it has {str(one.files)[:19]}…, the lock has {str(before)[:19]}…",
            hint="put the locked one back, or accept this one with "
            f"`recipe lock FILE --update {one.name}`",
        )


def other_plugins(lock: Lock, now: Iterable[Distribution]) -> list[str]:
    """Return, in words, which distributions of plugins are not those that a lock was made with.

    A lock from before files were kept compares versions alone.
    """
    locked = {one.name: one for one in lock.plugins}
    found = []
    for one in now:
        before = locked.get(one.name)
        if before is None or one.local:  # a plugin file that changed is refused
            continue
        if before.version != one.version:
            found.append(f"{one.name} {one.version} is installed, locked with {before.version}")
        elif before.files and one.files and before.files != one.files:
            editable = ", an editable install," if one.editable else ""
            found.append(
                f"{one.name} {one.version}{editable} has other files than the lock was made with"
            )
    return found


def stale(plan: Plan, lock: Lock | None, registry: Registry) -> list[str]:
    """Return sources that a lock lacks or that have another request, and plugin files it lacks."""
    found = []
    for step in _sources(plan):
        material = lock.materials.get(step.name) if lock else None
        if material is None or material.request != step.plugin.request():
            found.append(step.name)
    locked = {one.name for one in lock.plugins if one.local} if lock else set()
    return found + [one.name for one in registry.plugin_files(plan) if one.name not in locked]


def _pin_one(step: PlanStep, folder: Path, registry: Registry, mirror: Mirror | None) -> Material:
    source = _create(step.plugin, registry)
    pinned = _pinned(step, source, folder, mirror, registry)
    if not pinned.files:
        raise FetchError(f"{step.name}: {step.plugin.name} found no files")
    for file in pinned.files:
        _refuse_secrets(step, file)
    return Material(
        use=step.plugin.name,
        request=step.plugin.request(),
        revision=pinned.revision,
        files=tuple(sorted(pinned.files, key=lambda file: file.path)),
    )


def _refuse_secrets(step: PlanStep, file: PinnedFile) -> None:
    """Refuse a name or an address that the lock, the plan and every row's id would hold on to."""
    for what, text in (("name of a file", file.path), ("address of a file", file.url or "")):
        found = next(secrets_in(text.encode()), None)
        if found is not None:
            raise LockError(
                f"{step.name}: {found.kind} is in the {what}, {mask(text)}",
                hint="rename the file, or fetch it another way: locks and records keep its name",
            )


def _pinned(
    step: PlanStep, source: Any, folder: Path, mirror: Mirror | None, registry: Registry
) -> Pin:
    """Ask a source for its files; whatever else it does or gives becomes an error that names it."""
    try:
        with watched(), bounded(patience("source")):
            found: Pin = (
                source.pin(folder) if mirror is None or source.local else mirror.pin(source)
            )
        check_pin(found)
    except KhichdiError as error:
        if not isinstance(error, PluginError):
            raise
        failure: Exception = error
        words = error.message
    except (ModuleNotFoundError, OSError):
        raise
    except Exception as error:
        failure, words = error, f"{type(error).__name__}: {error}"
    else:
        return found
    origin = registry.get("source", step.plugin.name).distribution
    raise FetchError(
        f"{step.name} (source `{step.plugin.name}` of {origin.name} {origin.version}): {words}",
        hint="this is a fault in the plugin",
    ) from failure


def _sources(plan: Plan) -> Iterable[PlanStep]:
    return (step for step in plan.steps if step.kind == "source")


def _create(plugin: PluginRef, registry: Registry) -> Any:
    return registry.create(plugin.kind, plugin.name, plugin.params)
