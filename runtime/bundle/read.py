"""Open a bundle from an untrusted sender: checks first, and writes only below its own folder.

The table of contents comes first and determines every later byte: each header, size and digest. So
only the contents are parsed, and each later byte is compared with the only one that is valid there.
Links, devices, duplicate names, names that leave the folder, compressed, hidden or appended data
cannot be expressed in the contents, and are refused. Nothing is executed or unpickled.
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
from ..audit.audited_run import Claim
from ..tempdirs import scratch_folder
from .tar_format import end, header, padding

CONTENTS_BYTES = 64 << 20
CHUNK = 1 << 20


@contextlib.contextmanager
def unpacked(bundle: Path, scratch: str | None = None) -> Iterator[tuple[Path, Contents]]:
    """Give a folder with a bundle's files, and its contents; the folder is removed at the end.

    Raises:
        InputError: it is not a bundle, or not as it was written; names the damaged file.
    """
    with scratch_folder("bundle", scratch) as folder:
        try:
            with bundle.open("rb") as file:
                contents = _BundleReader(file, bundle.name).unpack(Path(folder))
        except OSError as error:
            raise InputError(f"cannot read {bundle.name}: {error.strerror or error}") from None
        yield Path(folder), contents


class BundleError(InputError):
    """A bundle whose table of contents contradicts its documents: a true negative answer."""

    status = 1
    code = "bundle"


def check_contents(contents: Contents, claim: Claim) -> None:
    """Compare a bundle's table of contents with the documents in it.

    Raises:
        BundleError: a field, or the list of artifacts that were left out, is another.
    """
    record = claim.record
    inside = {path.split("/")[1] for path in contents.files if path.startswith("artifacts/")}
    left_out = [
        f"{step.name}#{name}"
        for step, name, output, _ in claim.outputs()
        if output.manifest.removeprefix("sha256:") not in inside
    ]
    for what, told, found in (
        ("recipe", contents.recipe, record.recipe),
        ("recipe hash", contents.recipe_hash, record.recipe_hash),
        ("result hash", contents.result_hash, record.result_hash),
        ("list of what is left out", sorted(contents.left_out), sorted(left_out)),
    ):
        if told != found:
            raise BundleError(
                f"{CONTENTS} contradicts the record: {what} is {told}, the record gives {found}",
                hint="it was changed after it was written; ask for the original",
            )


class _BundleReader:
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
                f"{path} has other bytes than listed, and the same size: it is {found}, "
                f"not {expected.sha256}",
                "a bad copy or a forgery: compare the bundle's sha256 with the sender's",
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

    def _fault(self, what: str, hint: str = "fetch the bundle again from its sender") -> InputError:
        return InputError(f"{self.name}: {what}", hint=hint)
