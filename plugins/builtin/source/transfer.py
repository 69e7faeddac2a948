"""Write and hash bytes in one pass, and run tools, for every source."""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import IO

from pydantic import ValidationError

from khichdi.plugins import PinnedFile
from khichdi.plugins.toolkit.scrubbing import scrub
from khichdi.schema.digest import CHUNK
from khichdi.schema.errors import FetchError


def pinned(path: str, size: int, sha256: str, url: str | None = None) -> PinnedFile:
    """Return a pinned file; `sha256` is 64 hexadecimal digits.

    Raises:
        FetchError: the path would leave the source.
    """
    try:
        path.encode()
        return PinnedFile(path=path, size=size, sha256=f"sha256:{sha256}", url=url)
    except (ValidationError, UnicodeEncodeError):
        raise FetchError(
            f"{path!r} is not a path that every system can store",
            hint="rename the file, or leave it out of `include`",
        ) from None


def target(into: Path, file: PinnedFile) -> Path:
    """Return the target of a pinned file, and make its folder."""
    place = into / file.path
    place.parent.mkdir(parents=True, exist_ok=True)
    return place


def write(chunks: Iterable[bytes], place: Path | None) -> tuple[int, str]:
    """Write chunks to a file (or nowhere) and return their size and sha256 in hexadecimal."""
    size, state = 0, hashlib.sha256()
    with open(os.devnull if place is None else place, "wb") as out:
        for chunk in chunks:
            out.write(chunk)
            state.update(chunk)
            size += len(chunk)
    return size, state.hexdigest()


def chunks_of(stream: IO[bytes]) -> Iterable[bytes]:
    """Yield a stream's bytes in pieces."""
    while chunk := stream.read(CHUNK):
        yield chunk


def run(
    command: Sequence[str], what: str, hint: str, *, env: Mapping[str, str] | None = None
) -> bytes:
    """Run a tool without a terminal to ask on, and return its standard output.

    Raises:
        FetchError: the tool failed; has its last line of output.
    """
    done = subprocess.run(
        list(command), stdin=subprocess.DEVNULL, capture_output=True, check=False, env=env
    )
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines() or ["(it said nothing)"]
        # The last line of an error is the general one ("not found"), an `ERROR:` before it the
        # particular; both are short.
        told = [line for line in said if line.lower().startswith(("error:", "fatal:"))] or said[-1:]
        raise FetchError(f"{what}: {scrub('; '.join(told[:2]))}", hint=hint)
    return done.stdout
