"""Download one file over HTTP."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Self
from urllib.parse import unquote, urlsplit

from pydantic import Field, model_validator

from khichdi.plugins import Params, Pin, Source
from khichdi.plugins.side_effects import loading
from khichdi.schema.errors import FetchError

if TYPE_CHECKING:
    import httpx

SECONDS = 60.0
"""How long to wait for the next bytes before giving up."""


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
        """Return what the file is called."""
        return self.filename or PurePosixPath(unquote(urlsplit(self.url).path)).name


class Http(Source[HttpParams]):
    """Download one file from a URL; the recipe states its sha256."""

    name = "http"
    example = {
        "url": "https://example.org/data.jsonl",
        "sha256": "0000000000000000000000000000000000000000000000000000000000000000",
    }
    requires = ("httpx",)

    def pin(self, folder: Path) -> Pin:
        """Download once to learn the size, which no server is bound to tell, and to compare."""
        from .transfer import pinned, scrub

        size = self._download(None)
        file = pinned(self.params.target(), size, self.params.sha256, scrub(self.params.url))
        return Pin((file,))

    def fetch(self, pin: Pin, folder: Path, into: Path) -> None:
        """Download the file again."""
        from .transfer import target

        for file in pin.files:
            self._download(target(into, file))

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

    def _download(self, place: Path | None) -> int:
        """Stream the bytes to a file (or nowhere), compare them, and return how many there are."""
        with loading():
            import httpx

        from .transfer import first_line, scrub, write

        where = scrub(self.params.url)
        try:
            with (
                httpx.Client(
                    follow_redirects=True,
                    timeout=SECONDS,
                    # Compression on the way would hide what the file itself is.
                    headers={"Accept-Encoding": "identity"},
                ) as client,
                client.stream("GET", self.params.url) as response,
            ):
                if response.is_error:
                    raise _refused(where, response)
                size, sha256 = write(response.iter_bytes(), place)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise FetchError(
                f"{where}: {first_line(error)}",
                hint="look at the address and the network; `HTTPS_PROXY` names a proxy",
            ) from None
        if sha256 != self.params.sha256:
            raise FetchError(
                f"{where}: the bytes have sha256 {sha256}, expected {self.params.sha256}",
                hint="the file at this address changed, or another one came: compare with its "
                "publisher before you change the recipe",
            )
        return size


def _refused(where: str, response: httpx.Response) -> FetchError:
    hint = "check the URL; the server answered"
    if response.status_code in {401, 403, 407}:
        hint = "it requires a login: download the file yourself and use the source `files`"
    elif response.status_code >= 500 or response.status_code == 429:
        hint = "the server has a problem or limits requests: try again later"
    return FetchError(f"{where}: {response.status_code} {response.reason_phrase}", hint=hint)
