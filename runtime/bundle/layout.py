"""The one form of a bundle's bytes: a tar without times and owners, its contents first.

Having one form only, a bundle can be held to it: whoever opens it lays out again what was found,
and any byte that differs (in a header, in padding, behind the end) is refused.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterable
from pathlib import Path
from typing import IO

CONTENTS = "bundle.json"
MODE = 0o644


def lay_out(members: Iterable[tuple[str, Path | bytes]], out: IO[bytes]) -> None:
    """Write files under names, in the order given."""
    with tarfile.open(fileobj=out, mode="w|", format=tarfile.PAX_FORMAT) as archive:
        for name, source in members:
            info = tarfile.TarInfo(name)
            info.mode = MODE
            if isinstance(source, bytes):
                info.size = len(source)
                archive.addfile(info, io.BytesIO(source))
                continue
            with source.open("rb") as file:
                info.size = source.stat().st_size
                archive.addfile(info, file)


class Comparison(io.RawIOBase):
    """A place to write to that keeps nothing, and compares what arrives with a file."""

    def __init__(self, expected: IO[bytes]) -> None:
        self._expected = expected
        self._at = 0
        self.first: int | None = None

    def writable(self) -> bool:
        """Return that it can be written to."""
        return True

    def write(self, data: object) -> int:
        """Compare the next bytes; keep where the first difference is."""
        raw = bytes(data)  # type: ignore[call-overload]
        there = self._expected.read(len(raw))
        if self.first is None and there != raw:
            pairs = enumerate(zip(there, raw, strict=False))
            place = next((i for i, (a, b) in pairs if a != b), min(len(there), len(raw)))
            self.first = self._at + place
        self._at += len(raw)
        return len(raw)

    def difference(self) -> int | None:
        """Return where the file and what was written first differ, its end included."""
        if self.first is None and self._expected.read(1):
            self.first = self._at
        return self.first
