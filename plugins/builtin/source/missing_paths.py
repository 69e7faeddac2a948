"""Find which folder or pattern of a local source has no file, and suggest what was meant."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from khichdi.plugins import Breach
from khichdi.schema.did_you_mean import nearest

from .globs import choose

LOOKED_AT = 20_000
"""Files below a folder that are compared with a pattern that has `**`; in more, nothing is said."""

LISTED = 1_000
"""Names of a folder that a suggestion is searched among."""

SHOWN = 5
"""Names of a folder that a hint lists."""


def missing_folder(root: Path, place: tuple[str | int, ...]) -> Breach:
    """Return the breach of a folder that is not there, or is a file."""
    if root.exists():
        hint = "name its folder in `folder`, and the file in `include`"
        return Breach(f"{_shown(root)} is not a folder", place, hint)
    there = next((folder for folder in root.parents if folder.is_dir()), Path("/"))
    near = _nearest(there, root.relative_to(there).parts[0], folders=True)
    hint = f"did you mean `{near}`?" if near else "`folder` starts where the recipe is"
    return Breach(f"there is no folder {_shown(root)}", place, hint)


def missing_pattern(root: Path, pattern: str, place: tuple[str | int, ...]) -> Breach | None:
    """Return the breach of a pattern that no file below a folder matches, or None."""
    if _matches(root, pattern):
        return None
    parts = pattern.split("/")
    folder, number = root, 0
    while number < len(parts) and not _is_glob(parts[number]) and (folder / parts[number]).is_dir():
        folder, number = folder / parts[number], number + 1
    if number == len(parts):
        hint = f"it is a folder: `{pattern}/*` names its files"
        return Breach(f"{_shown(folder)} is not a file", place, hint)
    if any(map(_is_glob, parts)):
        message = f"no file in {_shown(root)} matches `{pattern}`"
    else:
        message = f"there is no file {_shown(root / pattern)}"
    near = _nearest(folder, parts[number], folders=number < len(parts) - 1)
    if near is None:
        return Breach(message, place, _listed(folder))
    meant = "/".join([*parts[:number], near, *parts[number + 1 :]])
    return Breach(message, place, f"did you mean `{meant}`?")


def _matches(root: Path, pattern: str) -> bool:
    """Return whether a file matches, or a folder has more files than can be looked at."""
    if "**" not in pattern.split("/"):
        return any(not path.is_dir() for path in root.glob(pattern))
    names = list(islice(_below(root), LOOKED_AT + 1))
    return len(names) > LOOKED_AT or bool(choose(names, [pattern]))


def _below(root: Path) -> Iterator[str]:
    """Yield the path of every file below a folder, as patterns see it."""
    for folder, _, files in os.walk(root):
        inside = Path(folder).relative_to(root)
        yield from ((inside / name).as_posix() for name in files)


def _nearest(folder: Path, part: str, *, folders: bool) -> str | None:
    """Return the name in a folder that is nearest to a part; folders or files first."""
    if _is_glob(part):
        return None
    names = _names(folder)
    return nearest(part, (name for name in names if names[name] == folders)) or nearest(part, names)


def _listed(folder: Path) -> str:
    names = sorted(name for name in _names(folder) if not name.startswith("."))
    if not names:
        return f"there are no files in {_shown(folder)}"
    more = len(names) - SHOWN
    some = ", ".join(names[:SHOWN]) + (f", and {more:,} more" if more > 0 else "")
    return f"{_shown(folder)} has {some}"


def _names(folder: Path) -> dict[str, bool]:
    """Return the names in a folder, each with whether it is a folder itself."""
    with os.scandir(folder) as entries:
        return {entry.name: entry.is_dir() for entry in islice(entries, LISTED)}


def _is_glob(part: str) -> bool:
    return any(character in part for character in "*?[")


def _shown(path: Path) -> str:
    """Return a path as a person would type it: relative where it is below the working folder."""
    full, here = Path(os.path.normpath(path)), Path.cwd()
    if full == here:
        return "this folder"
    return str(full.relative_to(here)) if full.is_relative_to(here) else str(full)
