"""Source `http`: download one file from a web address."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Self
from urllib.parse import unquote, urlsplit

from pydantic import Field, model_validator

from khichdi.plugins import Params, Pin, Source
from khichdi.schema.errors import FetchError


class HttpParams(Params):
    """URL and expected sha256 of the file."""

    url: str = Field(pattern=r"^https?://[^\s]+$", description="URL of the file.")
    sha256: str = Field(
        pattern=r"^[0-9a-f]{64}$", description="Expected sha256 of the file, in hexadecimal."
    )
    filename: str | None = Field(
        None,
        pattern=r"^[^/\\]+$",
        description="Name of the file; the last part of the URL if omitted.",
    )

    @model_validator(mode="after")
    def _has_name(self) -> Self:
        if self.target() in {"", ".", ".."}:
            raise ValueError("the address ends in no file name: give one as `filename`")
        return self

    def target(self) -> str:
        """Return the file's name."""
        return self.filename or PurePosixPath(unquote(urlsplit(self.url).path)).name


class Http(Source[HttpParams]):
    """Download one file from a web address; its sha256 is in the recipe."""

    name = "http"
    example = {
        "url": "https://example.org/data.jsonl",
        "sha256": "0000000000000000000000000000000000000000000000000000000000000000",
    }
    requires = ("httpx",)

    def origin(self) -> str | None:
        """Return the address."""
        return self.params.url

    def pin(self, folder: Path) -> Pin:
        """Ask the server for the size; the digest is the recipe's, and compared when fetched.

        Of a server that states no size the file is downloaded, to count its bytes.
        """
        from khichdi.plugins.toolkit.http_download import content_length
        from khichdi.plugins.toolkit.scrubbing import scrub

        from .transfer import pinned

        size = content_length(self.params.url)
        if size is None:
            size = self._download(None, None)
        file = pinned(self.params.target(), size, self.params.sha256, scrub(self.params.url))
        return Pin((file,))

    def fetch(self, pin: Pin, folder: Path, into: Path) -> None:
        """Download the file, and not one byte more than was pinned."""
        from .transfer import target

        for file in pin.files:
            self._download(target(into, file), file.size)

    def place(self) -> str | None:
        """Return `http/HOST/PATH` without the file's name and without a query."""
        parts = urlsplit(self.params.url)
        path = PurePosixPath(unquote(parts.path)).parent
        if ".." in path.parts:
            return None
        return f"http/{parts.hostname}{path}".rstrip("/")

    def chosen(self, paths: Sequence[str], folder: Path | None) -> list[str]:
        """Return the one file."""
        return [path for path in paths if path == self.params.target()]

    def _download(self, place: Path | None, size: int | None) -> int:
        """Download to a file (or nowhere), compare the digest, and return the size in bytes."""
        from khichdi.plugins.toolkit.http_download import download
        from khichdi.plugins.toolkit.scrubbing import scrub

        size, sha256 = download(self.params.url, place, size)
        if sha256 != self.params.sha256:
            raise FetchError(
                f"{scrub(self.params.url)}: the bytes have sha256 {sha256}, "
                f"expected {self.params.sha256}",
                hint="the file at this address changed, or another one came: compare with its "
                "publisher before you change the recipe",
            )
        return size
