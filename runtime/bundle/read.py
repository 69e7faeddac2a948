"""Opens a bundle that anybody may have sent: checks first, and writes only below its own folder.

Nothing in a bundle is ever run or unpickled. Links, devices, names that leave the folder or clash
on another system, members twice or missing, and any byte that the one layout of a bundle does not
have are refused with a sentence. Nothing is compressed, so nothing can swell.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from ...schema.bundle import Contents, clash, inside
from ...schema.errors import InputError
from ...schema.record import FileDigest
from .layout import CONTENTS, Comparison, lay_out

MEMBERS = 100_000
CONTENTS_BYTES = 64 << 20
CHUNK = 1 << 20


@contextlib.contextmanager
def unpacked(bundle: Path, scratch: str | None = None) -> Iterator[tuple[Path, Contents]]:
    """Give a folder with a bundle's files, and its contents; the folder is removed at the end.

    Raises:
        InputError: it is no bundle, or not as it was written; names what is damaged.
    """
    with tempfile.TemporaryDirectory(prefix="khichdi-bundle-", dir=scratch) as folder:
        with _opened(bundle) as file:
            contents = _unpack(file, bundle.name, Path(folder))
        yield Path(folder), contents


@contextlib.contextmanager
def _opened(bundle: Path) -> Iterator[IO[bytes]]:
    try:
        with bundle.open("rb") as file:
            yield file
    except OSError as error:
        raise InputError(f"cannot read {bundle.name}: {error.strerror or error}") from None


def _unpack(file: IO[bytes], name: str, folder: Path) -> Contents:
    members = _members(file, name)
    contents = _contents(file, name, members)
    for path, expected in contents.files.items():
        if path not in members:
            raise _fault(name, f"{path} is missing")
        _extract(file, members[path], folder / path, expected, f"{name}: {path}")
    extra = [path for path in members if path not in contents.files and path != CONTENTS]
    if extra:
        raise _fault(name, f"{extra[0]} is in it and not among its contents")
    sources: list[tuple[str, Path | bytes]] = [(CONTENTS, contents.to_text().encode())]
    sources += [(path, folder / path) for path in contents.files]
    file.seek(0)
    comparison = Comparison(file)
    lay_out(sources, comparison)  # type: ignore[arg-type]
    first = comparison.difference()
    if first is not None:
        near = _nearest(members, first)
        raise _fault(name, f"byte {first:,}, {near}, is not as a bundle lays it out")
    return contents


def _members(file: IO[bytes], name: str) -> dict[str, tarfile.TarInfo]:
    """Return the headers of all files; nothing is extracted by the library."""
    found: dict[str, tarfile.TarInfo] = {}
    size = os.fstat(file.fileno()).st_size
    try:
        with tarfile.open(fileobj=file, mode="r:") as archive:
            for member in archive:
                _check(member, found, name, size)
                found[member.name] = member
    except InputError:
        raise
    except Exception as error:  # a reader of hostile bytes may fail in many ways
        raise _fault(name, f"it is no bundle, or it is cut short ({error})") from None
    twice = clash(list(found))
    if twice is not None:
        raise _fault(name, f"{twice!r} clashes with another file")
    return found


def _check(
    member: tarfile.TarInfo, found: dict[str, tarfile.TarInfo], name: str, size: int
) -> None:
    if member.type != tarfile.REGTYPE or member.issparse():
        raise _fault(name, f"{member.name!r} is no plain file")
    if not inside(member.name):
        raise _fault(name, f"{member.name!r} is no name that a bundle may have")
    if member.name in found:
        raise _fault(name, f"{member.name!r} is in it twice")
    if not 0 <= member.size <= size - member.offset_data:
        raise _fault(name, f"{member.name} is cut short")
    if len(found) >= MEMBERS:
        raise _fault(name, f"it has more than {MEMBERS:,} files")


def _contents(file: IO[bytes], name: str, members: dict[str, tarfile.TarInfo]) -> Contents:
    first = members.get(CONTENTS)
    if first is None:
        raise _fault(name, f"{CONTENTS} is missing: it is no bundle")
    if first.size > CONTENTS_BYTES:
        raise _fault(name, f"{CONTENTS} has {first.size:,} bytes, more than a bundle's can have")
    file.seek(first.offset_data)
    return Contents.from_json(file.read(first.size), f"{name}: {CONTENTS}")


def _extract(
    file: IO[bytes], member: tarfile.TarInfo, target: Path, expected: FileDigest, what: str
) -> None:
    """Write one file that must not be there yet, and compare its digest."""
    target.parent.mkdir(parents=True, exist_ok=True)
    state, left = hashlib.sha256(), member.size
    file.seek(member.offset_data)
    with target.open("xb") as out:
        while left and (chunk := file.read(min(CHUNK, left))):
            left -= len(chunk)
            state.update(chunk)
            out.write(chunk)
    found = f"sha256:{state.hexdigest()}"
    if member.size != expected.size or found != expected.sha256:
        raise InputError(
            f"{what} is damaged: {found} of {member.size:,} bytes, "
            f"its contents say {expected.sha256} of {expected.size:,}",
            hint="get the bundle again",
        )


def _nearest(members: dict[str, tarfile.TarInfo], at: int) -> str:
    for path, member in members.items():
        if at < member.offset_data + member.size:
            return f"in {path}" if at >= member.offset_data else f"in the header of {path}"
    return "behind its last file"


def _fault(name: str, what: str) -> InputError:
    return InputError(f"{name}: {what}", hint="get the bundle again, from where it was written")
