"""File patterns (globs), with one meaning in every source. Light: imported at start-up.

`*` and `?` and `[a-z]` stay within one folder, `**` as a whole part matches any number of folders;
what ends in `**` means every file below.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from typing import Annotated

from pydantic import AfterValidator, StringConstraints

GLOBS_HELP = "`*` matches within a folder, `**/` any number of folders."


def _check(pattern: str) -> str:
    parts = pattern.split("/")
    if "\\" in pattern or any(part in {"", ".", ".."} for part in parts):
        raise ValueError(
            f"{pattern!r}: a pattern like `data/*.jsonl` was expected: parts joined by single "
            "slashes, none of them empty, `.` or `..`"
        )
    if any("**" in part and part != "**" for part in parts):
        raise ValueError(f"{pattern!r}: `**` must stand alone between slashes")
    return pattern if parts[-1] != "**" else f"{pattern}/*"


Glob = Annotated[str, StringConstraints(min_length=1), AfterValidator(_check)]
"""A pattern of paths inside a source."""


def choose(paths: Iterable[str], include: Sequence[str], exclude: Sequence[str] = ()) -> list[str]:
    """Return the paths that match one of `include` and none of `exclude`, sorted."""
    return sorted(path for path in set(paths) if _any(path, include) and not _any(path, exclude))


def _any(path: str, patterns: Sequence[str]) -> bool:
    parts = path.split("/")
    return any(_match(parts, pattern.split("/")) for pattern in patterns)


def _match(parts: list[str], pattern: list[str]) -> bool:
    if not pattern:
        return not parts
    if pattern[0] == "**":
        return any(_match(parts[n:], pattern[1:]) for n in range(len(parts) + 1))
    return bool(parts) and fnmatchcase(parts[0], pattern[0]) and _match(parts[1:], pattern[1:])
