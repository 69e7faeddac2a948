"""Manifest of a bundle: every file in it, with its size and digest."""

from __future__ import annotations

import unicodedata
from typing import Literal

from pydantic import field_validator

from .document import Digest, refuse_duplicates
from .file_names import inside
from .record import FileDigest
from .seal import Sealed

CONTENTS = "bundle.json"


def clash(paths: list[str]) -> str | None:
    """Return a path that another one is, or lies in, where case or Unicode forms are folded."""
    seen: dict[str, str] = {}
    for path in paths:
        folded = unicodedata.normalize("NFC", path).casefold()
        if folded in seen:
            return path
        seen[folded] = path
    for folded, path in seen.items():
        parts = folded.split("/")
        if any("/".join(parts[:count]) in seen for count in range(1, len(parts))):
            return path
    return None


class Contents(Sealed):
    """Manifest of a bundle: its first file, which lists all others.

    `left_out` names the outputs whose bytes are not in it, `<step>#<output>`.
    """

    bundle: Literal[1] = 1
    recipe: str
    recipe_hash: Digest
    result_hash: Digest
    files: dict[str, FileDigest]
    left_out: tuple[str, ...] = ()

    @field_validator("left_out")
    @classmethod
    def _name_outputs_once(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        refuse_duplicates(names, "output")
        return names

    @field_validator("files")
    @classmethod
    def _stay_inside(cls, files: dict[str, FileDigest]) -> dict[str, FileDigest]:
        for path in files:
            if not inside(path) or path == CONTENTS:
                raise ValueError(f"{path!r} is not a path inside a bundle")
        twice = clash(list(files))
        if twice is not None:
            raise ValueError(f"{twice!r} clashes with another path")
        return files
