"""Decompress files (gzip, bzip2, xz, zstd), and refuse zip archives and UTF-16."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import PurePosixPath
from typing import Any, BinaryIO, cast

from khichdi.plugins import SourceFile
from khichdi.schema.errors import StepError

UTF16 = (b"\xff\xfe", b"\xfe\xff")


def _zstd(path: Any) -> Any:
    import pyarrow as pa

    return pa.input_stream(str(path), compression="zstd")


_OPENERS: dict[str, Any] = {
    ".gz": gzip.open,
    ".bz2": bz2.open,
    ".xz": lzma.open,
    ".zst": _zstd,
}
_MAGIC = {
    b"\x1f\x8b": ".gz",
    **{f"BZh{level}1AY".encode(): ".bz2" for level in range(1, 10)},
    b"\xfd7zXZ\x00": ".xz",
    b"\x28\xb5\x2f\xfd": ".zst",
}
"""First bytes -> ending."""

_UNMARKED = {
    b"\0\1\0\1": "utf-16le",
    b"\1\0\1\0": "utf-16be",
}
"""Which of the first four bytes are zero in UTF-16 without a byte order mark."""

RATIO = 200
"""How many times its size a compressed file may unpack to: texts reach 20, repeated lines 100."""
FLOOR = 64 << 20
"""Bytes that any file may unpack to."""

_TORN = (EOFError, OSError, zlib.error, lzma.LZMAError)


def plain_suffix(path: str) -> str:
    """Return the suffix of the format: `.jsonl` for `a.jsonl` and for `a.jsonl.gz`."""
    name = PurePosixPath(path)
    if name.suffix.lower() in _OPENERS:
        name = name.with_suffix("")
    return name.suffix.lower()


@contextmanager
def opened(file: SourceFile) -> Iterator[BinaryIO]:
    """Open a file to read its bytes; gzip, bzip2, xz and zstd are decompressed on the way.

    The first bytes determine the compression, not the file's name.

    Raises:
        StepError: the compressed data is broken or truncated, or unpacks to far more than its
            size; the text is UTF-16, or the file is a zip archive.
    """
    with file.location.open("rb") as stream:
        compression = _compression(file, stream.peek(8))
        if compression is None:
            _refuse_other_encodings(file, stream.peek(8))
            yield stream
            return
    try:
        with (
            _OPENERS[compression](file.location) as packed,
            io.BufferedReader(_Unpacked(packed, file)) as stream,
        ):
            _refuse_other_encodings(file, stream.peek(8))
            yield cast(BinaryIO, stream)
    except _TORN as error:
        detail = str(error).split("\n", 1)[0]
        raise StepError(
            f"the compressed data is broken or truncated: {detail}",
            file=file.path,
            hint="download the file again; its extension must match its compression",
        ) from None


class _Unpacked(io.RawIOBase):
    """The bytes of a compressed file, up to what a text can unpack to."""

    def __init__(self, packed: Any, file: SourceFile) -> None:
        self.packed, self.file = packed, file
        self.left = unpacked_limit(file)

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer, and return how many bytes it got."""
        found = self.packed.read(len(buffer))
        self.left -= len(found)
        if self.left < 0:
            raise too_large(self.file)
        buffer[: len(found)] = found
        return len(found)


def unpacked_limit(file: SourceFile) -> int:
    """Return how many bytes a compressed file may unpack to."""
    return max(FLOOR, RATIO * file.location.stat().st_size)


def too_large(file: SourceFile) -> StepError:
    """Return the error for a file that unpacks to more than that."""
    return StepError(
        f"its {file.location.stat().st_size:,} bytes unpack to more than "
        f"{unpacked_limit(file):,}, which no table of texts does",
        file=file.path,
        hint="where it is as it should be, unpack it yourself, and name the unpacked file",
    )


def _compression(file: SourceFile, start: bytes) -> str | None:
    """Return the compression's suffix, by a file's first bytes or its name."""
    if start.startswith(b"PK\x03\x04"):
        raise StepError(
            "this is a zip archive", file=file.path, hint="unpack it, and name the files inside"
        )
    by_bytes = next((suffix for magic, suffix in _MAGIC.items() if start.startswith(magic)), None)
    by_name = PurePosixPath(file.path).suffix.lower()
    return by_bytes or (by_name if by_name in _OPENERS else None)


def read_bytes(file: SourceFile) -> bytes:
    """Return all bytes of a file, unpacked."""
    with opened(file) as stream:
        return stream.read()


def _refuse_other_encodings(file: SourceFile, start: bytes) -> None:
    """Raise where a text starts as UTF-16 does, with or without a byte order mark."""
    zeros = bytes(byte == 0 for byte in start[:4])
    encoding = "utf-16" if start[:2] in UTF16 else _UNMARKED.get(zeros)
    if encoding is None:
        return
    place = 0 if start[:2] in UTF16 else zeros.index(1)
    raise StepError(
        f"byte {place} (0x{start[place]:02x}) is not UTF-8: the file starts as UTF-16 does",
        file=file.path,
        line=1,
        hint=f"convert it: `iconv -f {encoding} -t utf-8`",
    )
