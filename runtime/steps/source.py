"""Fetch a source's pinned files into the store."""

from __future__ import annotations

from ..sources.pin import fetch
from .context import Context, Outcome, Produced


def bring(context: Context) -> Outcome:
    """Fetch the pinned files; each is compared with its pin."""
    if context.origin is None:
        raise context.fail("the plan has no base folder for relative paths")
    folder = context.output("files")
    fetch(context.step, context.origin, context.registry, folder, context.mirror)
    files = [path for path in folder.rglob("*") if path.is_file()]
    size = sum(path.stat().st_size for path in files)
    return Outcome({"files": Produced(folder, "files")}, facts={"files": len(files), "bytes": size})
