"""Copy every source of a recipe to a folder, for machines without a network.

Copy the folder to the other machine and name it there with `--mirror`.
"""

from __future__ import annotations

import shutil
from argparse import ArgumentParser, Namespace
from pathlib import Path
from tempfile import TemporaryDirectory

from .lock import write_lock
from .mirrors import mirror_argument, open_mirror
from .output import columns, emit, size
from .session import open_session, recipe_argument


def arguments(parser: ArgumentParser) -> None:
    """Add what this command takes."""
    recipe_argument(parser)
    mirror_argument(parser)
    parser.add_argument("--to", required=True, metavar="DIR", help="the mirror's folder")


def run(options: Namespace) -> int:
    """Pin what is not pinned, bring the bytes, and lay them out."""
    from ..compiler.compile import with_lock
    from ..runtime.sources.mirror import write_index
    from ..runtime.sources.pin import fetch

    session = open_session(options, options.file)
    lock = write_lock(session, options)
    compiled = with_lock(session.compiled, session.registry, lock)
    root = Path(options.to)
    root.mkdir(parents=True, exist_ok=True)
    rows: list[tuple[str, str, str]] = []
    for step in compiled.plan.steps:
        if step.kind != "source" or step.material is None:
            continue
        source = session.registry.create("source", step.plugin.name, step.plugin.params)
        place = source.place()
        if source.local or place is None:
            rows.append((step.name, "not copied", "it lies on this machine"))
            continue
        with TemporaryDirectory(prefix=".khichdi-", dir=root) as scratch:
            origin = compiled.folders[step.name]
            fetch(step, origin, session.registry, Path(scratch), open_mirror(options))
            shutil.copytree(scratch, root / place, dirs_exist_ok=True)
        write_index(root / place, step.material)
        rows.append((step.name, place, size(sum(file.size for file in step.material.files))))
    emit(options, {"mirror": str(root), "places": {r[0]: r[1] for r in rows}}, columns(rows))
    return 0
