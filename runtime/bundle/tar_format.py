"""Lay out a bundle: a tar without times and owners, its table of contents first.

There is one layout only: given the contents, every byte outside the files is known, and a reader
refuses any other.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path

BLOCK = tarfile.BLOCKSIZE
CHUNK = 1 << 20


def laid_out(members: Iterable[tuple[str, Path | bytes]]) -> Iterator[bytes]:
    """Yield the bytes of a bundle of these files, in the order given."""
    written = 0
    for name, source in members:
        size = len(source) if isinstance(source, bytes) else source.stat().st_size
        for piece in (header(name, size), *_content(source), padding(size)):
            written += len(piece)
            yield piece
    yield end(written)


def header(name: str, size: int) -> bytes:
    """Return the header of a file."""
    info = tarfile.TarInfo(name)
    info.mode, info.size = 0o644, size
    return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "strict")


def padding(size: int) -> bytes:
    """Return the padding after a file of this many bytes."""
    return bytes(-size % BLOCK)


def end(written: int) -> bytes:
    """Return the end of a bundle, after this many bytes."""
    blank = 2 * BLOCK
    return bytes(blank + -(written + blank) % tarfile.RECORDSIZE)


def _content(source: Path | bytes) -> Iterator[bytes]:
    if isinstance(source, bytes):
        yield source
        return
    with source.open("rb") as file:
        while chunk := file.read(CHUNK):
            yield chunk
