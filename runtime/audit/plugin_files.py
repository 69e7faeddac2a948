"""The plugin files that a run keeps: loaded by an audit only where that was allowed.

They are code that came with a run or a bundle. Without consent they are hashed, and what they did
is reported as unverifiable.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ...plugins.plugin_files import PluginFile
from ...plugins.registry import Registry, load_registry
from ...schema.errors import InputError
from ...schema.plan import PlanStep
from ...schema.record import Record
from .audited_run import Claim

CONSENT = "--allow-local-plugins"
REFUSAL = f"{CONSENT} runs it"


def registry_of(folder: Path, record: Record, *, allow: bool) -> Registry:
    """Return the installed plugins, with those of the files that a run keeps if that is allowed.

    Raises:
        RegistryError: a plugin cannot be loaded.
    """
    if not allow:
        return load_registry(refusal=REFUSAL)
    registry = load_registry()
    for file in _kept(folder, record):
        registry = registry.with_file(file)
    return registry


def not_loaded(
    record: Record, registry: Registry, files: frozenset[str] | None = None
) -> str | None:
    """Return in words which of some plugin files the registry does not have; None if it has all.

    `files` are their sha256; left out, they are all that the record names.
    """
    names = {str(one.files): one.name for one in record.plugins if one.local}
    missing = sorted((names.keys() if files is None else files) - registry.files())
    if not missing:
        return None
    file = f"the file {names.get(missing[0], 'that the record does not name')}, {missing[0]}"
    if registry.refusal is None:
        return f"its plugin is {file}, which the run does not keep"
    return f"its plugin is {file}; {registry.refusal}"


def check_loaded(claim: Claim, step: PlanStep, registry: Registry) -> None:
    """Refuse a step whose plugin is in a file that was not loaded.

    Raises:
        InputError: names the file, and how to allow it.
    """
    files = frozenset(ref.file for ref in step.plugins() if ref.file)
    missing = not_loaded(claim.record, registry, files)
    if missing is not None:
        raise InputError(missing)


def _kept(folder: Path, record: Record) -> Iterator[PluginFile]:
    """Yield the plugin files of a run, where their bytes are those on record."""
    wanted = {one.files for one in record.plugins if one.local}
    for kept in record.files:
        path = folder / "recipe" / kept.path
        if kept.sha256 not in wanted or path.is_symlink() or not path.is_file():
            continue
        file = PluginFile(kept.path, path.resolve(), path.read_bytes())
        if file.distribution.files == kept.sha256:
            yield file
