"""The source `my-plugin`."""

from __future__ import annotations

import hashlib
from pathlib import Path

from khichdi.plugins import FetchError, Params, Pin, PinnedFile, Source
from pydantic import Field


class MyPluginParams(Params):
    """Parameters of `my-plugin`; every field has a description."""

    file: str = Field(min_length=1, description="The file, relative to the recipe.")


class MyPlugin(Source[MyPluginParams]):
    """Pin and copy one file."""

    name = "my-plugin"
    example = {"file": "rows.jsonl"}
    local = True

    def pin(self, folder: Path) -> Pin:
        """Return the file with its size and digest."""
        try:
            content = (folder / self.params.file).read_bytes()
        except OSError as error:
            raise FetchError(f"{self.params.file} cannot be read: {error.strerror}") from None
        digest = "sha256:" + hashlib.sha256(content).hexdigest()
        path = Path(self.params.file).name
        return Pin((PinnedFile(path=path, size=len(content), sha256=digest),))

    def fetch(self, pin: Pin, folder: Path, into: Path) -> None:
        """Copy the file."""
        (into / pin.files[0].path).write_bytes((folder / self.params.file).read_bytes())
