"""Opens a bundle that anybody may have sent: checks first, and writes only below its own folder.

A bundle's contents stand first, and say all that follows: every header, every size, every digest.
So nothing is parsed but the contents: each later byte is compared with the only one that can stand
there. A link, a device, a name twice, one that leaves the folder, something compressed, hidden or
appended cannot be said in contents, and is refused. Nothing is ever run or unpickled.
"""

from __future__ import annotations

import contextlib
import hashlib
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from ...schema.bundle import CONTENTS, Contents
from ...schema.errors import InputError
from ...schema.record import FileDigest
from ..tempdirs import scratch_folder
from .tar_format import end, header, padding

CONTENTS_BYTES = 64 << 20
CHUNK = 1 << 20


@contextlib.contextmanager
def unpacked(bundle: Path, scratch: str | None = None) -> Iterator[tuple[Path, Contents]]:
    """Give a folder with a bundle's files, and its contents; the folder is removed at the end.

    Raises:
        InputError: it is not a bundle, or not as it was written; names what is damaged.
    """
    with scratch_folder("bundle", scratch) as folder:
        try:
            with bundle.open("rb") as file:
                contents = _Reader(file, bundle.name).unpack(Path(folder))
        except OSError as error:
            raise InputError(f"cannot read {bundle.name}: {error.strerror or error}") from None
        yield Path(folder), contents


class _Reader:
    """Goes through a bundle once, from its first byte to its last."""

    def __init__(self, file: IO[bytes], name: str) -> None:
        self.file = file
        self.name = name
        self.at = 0

    def unpack(self, folder: Path) -> Contents:
        """Write every file below a folder."""
        contents = self._contents()
        for path, expected in contents.files.items():
            self._expect(header(path, expected.size), f"the header of {path}")
            self._extract(path, folder / path, expected)
            self._expect(padding(expected.size), f"the padding behind {path}")
        self._expect(end(self.at), "the end")
        if self.file.read(1):
            raise self._fault("something was appended to it")
        return contents

    def _contents(self) -> Contents:
        try:
            first = tarfile.TarInfo.frombuf(self.file.read(512), "utf-8", "strict")
        except (tarfile.HeaderError, ValueError):
            raise self._fault("it is not a bundle") from None
        if first.name != CONTENTS or not 0 <= first.size <= CONTENTS_BYTES:
            raise self._fault(f"it is not a bundle: {CONTENTS} does not stand first")
        self.file.seek(0)
        self._expect(header(CONTENTS, first.size), f"the header of {CONTENTS}")
        raw = self._read(first.size)
        if len(raw) < first.size:
            raise self._fault(f"it is truncated in {CONTENTS}")
        contents = Contents.from_json(raw, f"{self.name}: {CONTENTS}")
        if contents.to_text().encode() != raw:
            raise self._fault(f"{CONTENTS} is not as it was written")
        self._expect(padding(first.size), f"the padding behind {CONTENTS}")
        return contents

    def _extract(self, path: str, target: Path, expected: FileDigest) -> None:
        """Write one file that must not be there yet, and compare its digest."""
        target.parent.mkdir(parents=True, exist_ok=True)
        state, left = hashlib.sha256(), expected.size
        with target.open("xb") as out:
            while left and (chunk := self._read(min(CHUNK, left))):
                left -= len(chunk)
                state.update(chunk)
                out.write(chunk)
        if left:
            raise self._fault(f"it is truncated in {path}")
        found = f"sha256:{state.hexdigest()}"
        if found != expected.sha256:
            raise self._fault(
                f"{path} is damaged: it is {found}, the contents say {expected.sha256}"
            )

    def _expect(self, wanted: bytes, what: str) -> None:
        start = self.at
        found = self._read(len(wanted))
        if found == wanted:
            return
        if wanted.startswith(found):
            raise self._fault(f"it is truncated in {what}")
        pairs = enumerate(zip(found, wanted, strict=False))
        place = start + next(number for number, (a, b) in pairs if a != b)
        raise self._fault(f"{what} is not as a bundle lays it out, at byte {place:,}")

    def _read(self, size: int) -> bytes:
        found = self.file.read(size)
        self.at += len(found)
        return found

    def _fault(self, what: str) -> InputError:
        return InputError(
            f"{self.name}: {what}", hint="get the bundle again, from where it was written"
        )
