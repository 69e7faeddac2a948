"""Decompress files while reading."""

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
_TORN = (EOFError, OSError, zlib.error, lzma.LZMAError)


def plain_suffix(path: str) -> str:
    """Return the ending that tells the format: `.jsonl` for `a.jsonl` and for `a.jsonl.gz`."""
    name = PurePosixPath(path)
    if name.suffix.lower() in _OPENERS:
        name = name.with_suffix("")
    return name.suffix.lower()


@contextmanager
def opened(file: SourceFile) -> Iterator[BinaryIO]:
    """Open a file to read its bytes; `.gz`, `.bz2`, `.xz` and `.zst` are unpacked on the way.

    Raises:
        StepError: the compressed data is broken or cut short, or the text is UTF-16.
    """
    opener = _OPENERS.get(PurePosixPath(file.path).suffix.lower())
    if opener is None:
        with file.location.open("rb") as stream:
            _refuse_utf16(file, stream.peek(2))
            yield stream
        return
    try:
        with opener(file.location) as packed, io.BufferedReader(packed) as stream:
            _refuse_utf16(file, stream.peek(2))
            yield cast(BinaryIO, stream)
    except _TORN as error:
        detail = str(error).split("\n", 1)[0]
        raise StepError(
            f"the compressed data is broken or truncated: {detail}",
            file=file.path,
            hint="download the file again; its extension must match its compression",
        ) from None


def read_bytes(file: SourceFile) -> bytes:
    """Return all bytes of a file, unpacked."""
    with opened(file) as stream:
        return stream.read()


def _refuse_utf16(file: SourceFile, start: bytes) -> None:
    if start[:2] in UTF16:
        raise StepError(
            f"byte 0 (0x{start[0]:02x}) is not UTF-8: the file starts as UTF-16 does",
            file=file.path,
            line=1,
            hint="convert it: `iconv -f utf-16 -t utf-8`",
        )
