"""Copy every source of a recipe to a folder that serves as a mirror without a network."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from ..runtime.sources.mirror import Mirror, write_index
from ..runtime.sources.pin import fetch
from .locking import write_lock
from .observer import Observer
from .session import Session


@dataclass(frozen=True)
class Copied:
    """A source in a mirror: its step, its place there (None if on this machine), its bytes."""

    step: str
    place: str | None
    size: int


def copy_to_mirror(
    session: Session, root: Path, observer: Observer, mirror: Mirror | None = None
) -> list[Copied]:
    """Pin unpinned sources, download each source, and lay it out below the mirror's folder.

    Raises:
        FetchError: a source cannot be reached, or does not have the pinned bytes any more.
    """
    session = write_lock(session, observer, mirror=mirror)
    root.mkdir(parents=True, exist_ok=True)
    found = []
    for step in session.compiled.plan.steps:
        if step.kind != "source" or step.material is None:
            continue
        source = session.registry.create("source", step.plugin.name, step.plugin.params)
        place = None if source.local else source.place()
        if place is not None:
            with TemporaryDirectory(prefix=".khichdi-", dir=root) as scratch:
                origin = session.compiled.folders[step.name]
                fetch(step, origin, session.registry, Path(scratch), mirror)
                shutil.copytree(scratch, root / place, dirs_exist_ok=True)
            write_index(root / place, step.material)
        found.append(Copied(step.name, place, sum(file.size for file in step.material.files)))
    return found
