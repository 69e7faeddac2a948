"""Download a file over HTTP: retry, resume with range requests, stop at the expected size.

Redirects stay on http(s), never fall back from https to http, and never lead from a public
address to a loopback, link-local or private one: the author of a source's address has no
business on the network of the machine that downloads it.
"""

from __future__ import annotations

import hashlib
import ipaddress
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import IO, TYPE_CHECKING, TypeVar

from ...schema.errors import FetchError
from ..side_effects import loading
from .offline import WITHOUT_NETWORK
from .scrubbing import first_line, scrub

if TYPE_CHECKING:
    import httpx

T = TypeVar("T")

ATTEMPTS = 4
"""Requests in a row that bring nothing new before a download fails."""

TIMEOUT = 60.0
"""Seconds to wait for the next bytes."""

LONGEST = 24 * 3600.0
"""Seconds that a download of unknown size may take."""

SLOWEST = 10_000
"""Bytes a second that a download of known size must reach on average, after TIMEOUT."""

REDIRECTS = 10
"""Redirects that are followed."""

_TRANSIENT = {408, 425, 429, 500, 502, 503, 504}
# Compression on the way would hide the size and the bytes of the file itself.
_HEADERS = {"Accept-Encoding": "identity"}


class NotFoundError(FetchError):
    """There is no file at the address."""


def download(
    url: str,
    place: Path | None,
    size: int | None = None,
    *,
    limit: int | None = None,
    authorization: str | None = None,
) -> tuple[int, str]:
    """Download a file, and return its size in bytes and its sha256 in hexadecimal.

    A connection that breaks is opened again where it broke, if the server takes ranges and still
    has the same file, else from the start.

    Args:
        url: an http or https address.
        place: the file to write; None only counts and hashes.
        size: the bytes that are expected, no more and no fewer; the time is limited by it too,
            by `SLOWEST`, and without it by `LONGEST`.
        limit: the most bytes that may come where `size` is not known.
        authorization: the value of that header; a redirect to another host does not carry it on.

    Raises:
        NotFoundError: there is no such file.
        FetchError: the server refuses, sends more or less than `size`, is too slow, or breaks off
            `ATTEMPTS` times in a row without a new byte.
    """
    with nullcontext() if place is None else place.open("wb") as out, _client() as client:
        return _Transfer(client, url, out, size, limit, authorization).run()


def content_length(url: str) -> int | None:
    """Return the size that a server states for a file, without downloading it; None if it does not.

    Raises:
        FetchError: the server refuses, or cannot be reached.
    """
    with _client() as client:
        return _Transfer(client, url).stated()


class _InterruptedError(Exception):
    """The transfer broke off and may be resumed."""

    hint = "check the address and the network; `HTTPS_PROXY` names a proxy; " + WITHOUT_NETWORK


class _OverloadedError(_InterruptedError):
    hint = "the server is overloaded or down: try again later"


class _Transfer:
    """One file on its way: bytes received so far, their hash, and what identifies the file."""

    def __init__(
        self,
        client: httpx.Client,
        url: str,
        out: IO[bytes] | None = None,
        size: int | None = None,
        limit: int | None = None,
        authorization: str | None = None,
    ) -> None:
        self.headers = dict(_HEADERS)
        if authorization is not None:
            self.headers["Authorization"] = authorization
        self.client, self.url, self.out, self.size = client, url, out, size
        self.most = limit if size is None else size
        self.where = scrub(url)
        self.received, self.hash = 0, hashlib.sha256()
        self.validator: str | None = None
        seconds = LONGEST if size is None else TIMEOUT + size / SLOWEST
        self.deadline = time.monotonic() + seconds

    def run(self) -> tuple[int, str]:
        self._retried(self._receive)
        return self.received, self.hash.hexdigest()

    def stated(self) -> int | None:
        return self._retried(self._ask)

    def _ask(self) -> int | None:
        with self._opened(self.headers) as response:
            self._check(response)
            return _length(response)

    def _retried(self, attempt: Callable[[], T]) -> T:
        """Call until it succeeds; give up when `ATTEMPTS` calls in a row bring no new byte."""
        import httpx

        failed, furthest = 0, 0
        while True:
            try:
                return attempt()
            except (httpx.TransportError, _InterruptedError) as error:
                failed = failed + 1 if self.received <= furthest else 1
                furthest = max(furthest, self.received)
                if failed >= ATTEMPTS or time.monotonic() > self.deadline:
                    hint = getattr(error, "hint", _InterruptedError.hint)
                    raise self._fault(first_line(error), hint) from None
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                raise self._fault(first_line(error), "check the address") from None
            time.sleep(0.5 * 2 ** (failed - 1))

    def _receive(self) -> None:
        """Request the missing bytes, and write them until the response ends."""
        headers = dict(self.headers)
        if self.received and self.validator:
            headers |= {"Range": f"bytes={self.received}-", "If-Range": self.validator}
        with self._opened(headers) as response:
            self._check(response)
            if not self._resumes(response):
                self._restart()
            self.validator = _validator(response)
            total = _total(response, self.received)
            for chunk in response.iter_raw():
                self._write(chunk)
        if total is not None and self.received < total:
            raise _InterruptedError(f"{self.received:,} of {total:,} bytes came")
        if self.size is not None and self.received < self.size:
            raise self._fault(
                f"the file has {self.received:,} bytes, expected {self.size:,}",
                "the file at this address changed, or another one came",
            )

    def _resumes(self, response: httpx.Response) -> bool:
        """Tell whether a response continues where the last one broke off."""
        start = response.headers.get("Content-Range", "").removeprefix("bytes ").split("-")[0]
        return response.status_code == 206 and start == str(self.received)

    def _restart(self) -> None:
        self.received, self.hash = 0, hashlib.sha256()
        if self.out is not None:
            self.out.seek(0)
            self.out.truncate()

    def _write(self, chunk: bytes) -> None:
        if self.most is not None and self.received + len(chunk) > self.most:
            raise self._fault(
                f"the server sends more than the {self.most:,} bytes that were expected",
                "the file at this address changed, or another one came",
            )
        if time.monotonic() > self.deadline:
            raise self._fault(
                f"too slow: {self.received:,} bytes so far", "try again on a faster network"
            )
        if self.out is not None:
            self.out.write(chunk)
        self.hash.update(chunk)
        self.received += len(chunk)

    def _check(self, response: httpx.Response) -> None:
        status, words = response.status_code, response.reason_phrase
        if status in _TRANSIENT:
            raise _OverloadedError(f"{status} {words}")
        if response.is_error:
            hint = "check the address; the server answered"
            if status in {401, 403, 407}:
                hint = "it wants a login: download the file yourself and use the source `files`"
            if status in {404, 410}:
                raise NotFoundError(f"{self.where}: {status} {words}", hint=hint)
            raise self._fault(f"{status} {words}", hint)

    @contextmanager
    def _opened(self, headers: Mapping[str, str]) -> Iterator[httpx.Response]:
        """Send a request, follow its redirects within the rules, and yield the response."""
        request = self.client.build_request("GET", self.url, headers=headers)
        for _ in range(REDIRECTS + 1):
            response = self.client.send(request, stream=True)
            try:
                following = response.next_request
                if following is None:
                    yield response
                    return
                self._may_follow(request.url, following.url)
                request = following
            finally:
                response.close()
        raise self._fault(f"more than {REDIRECTS} redirects", "check the address")

    def _may_follow(self, start: httpx.URL, end: httpx.URL) -> None:
        """Refuse redirects to other schemes, to plain http, and into a private network."""
        reason = None
        if end.scheme not in ("http", "https"):
            reason = f"the scheme {end.scheme!r}"
        elif start.scheme == "https" and end.scheme == "http":
            reason = "http, which is not encrypted"
        elif _public(start.host) and not _public(end.host):
            reason = "an address of a private network"
        if reason:
            where = scrub(str(end))
            raise self._fault(
                f"it redirects to {where}: {reason}", "check the address with its publisher"
            )

    def _fault(self, what: str, hint: str) -> FetchError:
        return FetchError(f"{self.where}: {what}", hint=hint)


@contextmanager
def _client() -> Iterator[httpx.Client]:
    with loading():
        import httpx
    with httpx.Client(follow_redirects=False, timeout=TIMEOUT) as client:
        yield client


def _public(host: str) -> bool:
    """Return whether a host is on the public internet; a name that does not resolve counts as one.

    Behind a proxy, names need not resolve here.
    """
    try:
        found = {str(info[4][0]) for info in socket.getaddrinfo(host, None)}
    except (OSError, UnicodeError):
        return True
    return all(ipaddress.ip_address(address.split("%")[0]).is_global for address in found)


def _validator(response: httpx.Response) -> str | None:
    """Return what names this version of a file in If-Range: a strong ETag, or its date."""
    etag = response.headers.get("ETag", "")
    if etag and not etag.startswith("W/"):
        return str(etag)
    dated: str | None = response.headers.get("Last-Modified")
    return dated


def _length(response: httpx.Response) -> int | None:
    stated = response.headers.get("Content-Length", "")
    return int(stated) if stated.isdecimal() else None


def _total(response: httpx.Response, received: int) -> int | None:
    length = _length(response)
    return None if length is None else received + length
