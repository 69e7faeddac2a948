"""Warn about files of sources that are not on this machine, before anything is pinned."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..compiler.load import Loaded
from ..compiler.lower import source_places
from ..plugins.kinds import Breach
from ..plugins.registry import Registry
from ..schema.errors import Diagnostic
from ..schema.plan import Plan
from ..schema.recipe import Recipe


def missing_files(
    loaded: Loaded, recipe: Recipe, plan: Plan, registry: Registry
) -> list[Diagnostic]:
    """Return a warning for each folder or pattern of a plan's sources that nothing here matches.

    Only sources of this machine are asked; they look at names of files, never into them.
    """
    places = source_places(recipe, registry)
    found = []
    for step in plan.steps:
        if step.kind != "source":
            continue
        ref, place = step.plugin, places[step.name]
        source: Any = registry.create(ref.kind, ref.name, ref.params)
        if source.local:
            for breach in _asked(source, loaded.folder(place)):
                path, hint = (*place, *breach.path), breach.hint
                found.append(loaded.diagnose(path, "no-file", breach.message, hint))
    return sorted(found, key=lambda one: (one.file, one.line, one.column))


def _asked(source: Any, folder: Path) -> Sequence[Breach]:
    """Return a source's answer; the fault of one that fails is reported when it is pinned."""
    try:
        return tuple(source.missing(folder))
    except Exception:
        return ()
