"""Digest the files of an installed distribution, and detect editable installs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from importlib.metadata import Distribution as Installed
from importlib.metadata import EntryPoint
from importlib.util import find_spec
from pathlib import Path

from ..schema.digest import file_sha256, manifest_digest
from ..schema.lock import Distribution

LEFT_OUT = ("__pycache__",)
"""Folders of files that Python itself writes."""


def identify(known: Distribution, points: Sequence[EntryPoint]) -> Distribution:
    """Return a distribution with the digest of its files, read now.

    Of an installed one these are the files that its RECORD names, less the metadata; of an
    editable one all in the packages that its plugins are in. A package that is installed whole
    has the same digest both ways. A plugin file is returned as it is: it was read whole.
    """
    if known.local:
        return known
    installed = points[0].dist if points else None
    if installed is None:
        return known
    editable = _editable(installed)
    listed = None if editable else _recorded(installed)
    found = listed if listed is not None else _packages(points)
    files = {path: (place.stat().st_size, file_sha256(place)) for path, place in found.items()}
    digest = manifest_digest(files) if files else None
    return Distribution(name=known.name, version=known.version, files=digest, editable=editable)


def _editable(installed: Installed) -> bool:
    """Return whether it was installed with `pip install -e`, by pip's `direct_url.json`."""
    try:
        where = json.loads(installed.read_text("direct_url.json") or "{}")
    except json.JSONDecodeError:
        return False
    return bool(where.get("dir_info", {}).get("editable"))


def _recorded(installed: Installed) -> dict[str, Path] | None:
    """Return the files of RECORD that are the distribution's own, or None without a RECORD.

    Metadata that a build left in a project's folder has none, and is found where Python starts
    there: its list of sources differs from the files that are imported.
    """
    if not installed.read_text("RECORD") or installed.files is None:
        return None
    found = {}
    for file in installed.files:
        apart = {"..", *LEFT_OUT} & set(file.parts) or file.parts[0].endswith(".dist-info")
        place = Path(str(file.locate()))
        if not apart and place.is_file():
            found[file.as_posix()] = place
    return found


def _packages(points: Sequence[EntryPoint]) -> dict[str, Path]:
    """Return the files of the outermost regular package of each entry point."""
    return {path: place for point in points for path, place in _package(point.module)}


def _package(module: str) -> Iterator[tuple[str, Path]]:
    parts = module.split(".")
    for count in range(1, len(parts) + 1):
        spec = find_spec(".".join(parts[:count]))
        if spec is None or spec.origin is None:
            continue
        origin = Path(spec.origin)
        above = "/".join(parts[: count - 1])
        if spec.submodule_search_locations is None:
            yield f"{above}/{origin.name}".lstrip("/"), origin
            return
        inside = "/".join(parts[:count])
        for place in sorted(origin.parent.rglob("*")):
            path = place.relative_to(origin.parent)
            if place.is_file() and not set(LEFT_OUT) & set(path.parts):
                yield f"{inside}/{path.as_posix()}", place
        return
