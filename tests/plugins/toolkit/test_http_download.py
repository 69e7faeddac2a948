"""Downloads against a real server that breaks off, sends too much, redirects and throttles."""

from __future__ import annotations

import hashlib
import random
import re
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from http_site import QuietHandler, serving

from khichdi.plugins.toolkit import http_download as module
from khichdi.plugins.toolkit.http_download import NotFoundError, content_length, download
from khichdi.schema.errors import FetchError

BODY = random.Random(7).randbytes(400_000)
SHA256 = hashlib.sha256(BODY).hexdigest()


@dataclass
class Site:
    """What the server does, and what it saw."""

    act: Callable[[Any], None]
    address: str = ""
    ranges: list[str | None] = field(default_factory=list)
    sent: int = 0


class Handler(QuietHandler):
    def do_GET(self) -> None:
        self.site = self.server.site  # type: ignore[attr-defined]
        self.site.ranges.append(self.headers.get("Range"))
        self.site.act(self)

    def body(self, data: bytes) -> None:
        self.site.sent += len(data)  # before the write: a client may be done right after it
        self.wfile.write(data)

    def whole(self) -> None:
        self.head(200, len(BODY))
        self.body(BODY)

    def cut(self, most: int, etag: str = '"v1"') -> None:
        """Send from the range's start, and hang up after `most` bytes."""
        asked = re.match(r"bytes=(\d+)-", self.headers.get("Range", ""))
        start = int(asked[1]) if asked and self.headers.get("If-Range") == etag else 0
        rest = BODY[start:]
        if start:
            span = f"bytes {start}-{len(BODY) - 1}/{len(BODY)}"
            self.head(206, len(rest), ETag=etag, Content_Range=span)
        else:
            self.head(200, len(rest), ETag=etag)
        self.body(rest[:most])
        self.close_connection = True


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Callable[[Any], None]], Site]]:
    """Yield a function that serves by another function; retries wait for no time."""
    monkeypatch.setattr(module.time, "sleep", lambda seconds: None)
    with ExitStack() as stack:

        def start(act: Callable[[Any], None]) -> Site:
            server = stack.enter_context(serving(Handler))
            server.site = Site(act, f"http://127.0.0.1:{server.server_port}/rows.bin")  # type: ignore[attr-defined]
            return server.site  # type: ignore[attr-defined, no-any-return]

        yield start


def test_a_download_that_breaks_at_random_bytes_resumes_and_fetches_each_byte_once(
    serve: Any, tmp_path: Path
) -> None:
    chance = random.Random(1)
    site = serve(lambda request: request.cut(chance.randrange(1, 90_000)))
    found = download(site.address, tmp_path / "rows.bin", len(BODY))
    assert found == (len(BODY), SHA256)
    assert (tmp_path / "rows.bin").read_bytes() == BODY
    assert site.sent == len(BODY)
    assert site.ranges[0] is None
    assert all(site.ranges[1:])


def test_a_server_without_ranges_is_read_again_from_the_start(serve: Any, tmp_path: Path) -> None:
    def act(request: Any) -> None:
        request.head(200, len(BODY))
        request.body(BODY[:1000] if len(site.ranges) == 1 else BODY)
        request.close_connection = True

    site = serve(act)
    assert download(site.address, tmp_path / "rows.bin", len(BODY)) == (len(BODY), SHA256)
    assert site.ranges == [None, None]


def test_a_file_that_changed_between_two_requests_is_read_again_from_the_start(
    serve: Any, tmp_path: Path
) -> None:
    versions = ['"old"', '"new"', '"new"']

    def act(request: Any) -> None:
        etag = versions[len(site.ranges) - 1]
        request.cut(1000 if etag == '"old"' else len(BODY), etag)

    site = serve(act)
    assert download(site.address, tmp_path / "rows.bin") == (len(BODY), SHA256)
    assert site.sent == len(BODY) + 1000


def test_an_endless_body_is_left_at_the_expected_size(serve: Any, tmp_path: Path) -> None:
    def act(request: Any) -> None:
        request.head(200, None, Connection="close")
        while True:
            request.body(BODY)

    site = serve(act)
    with pytest.raises(FetchError, match="sends more than the 45 bytes that were expected"):
        download(site.address, tmp_path / "rows.bin", 45)
    assert (tmp_path / "rows.bin").stat().st_size <= 45
    with pytest.raises(FetchError, match="more than the 1,000,000 bytes"):
        download(site.address, None, limit=1_000_000)


def test_a_file_that_is_shorter_than_expected_is_refused(serve: Any) -> None:
    site = serve(lambda request: request.whole())
    with pytest.raises(FetchError, match=r"has 400,000 bytes, expected 400,001"):
        download(site.address, None, len(BODY) + 1)


def test_a_body_that_trickles_ends_at_the_time_limit(
    serve: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def act(request: Any) -> None:
        request.head(200, len(BODY))
        while True:
            request.body(b"x")

    monkeypatch.setattr(module, "TIMEOUT", 0.2)
    monkeypatch.setattr(module, "SLOWEST", 1 << 40)
    with pytest.raises(FetchError, match="too slow"):
        download(serve(act).address, None, len(BODY))


@pytest.mark.parametrize("status", [429, 500, 503])
def test_an_overloaded_server_is_asked_again(serve: Any, status: int) -> None:
    def act(request: Any) -> None:
        request.head(status, 0) if len(site.ranges) < 3 else request.whole()

    site = serve(act)
    assert download(site.address, None) == (len(BODY), SHA256)
    assert len(site.ranges) == 3


def test_a_server_that_stays_overloaded_fails_after_four_requests(serve: Any) -> None:
    site = serve(lambda request: request.head(503, 0))
    with pytest.raises(FetchError, match="503 Service Unavailable"):
        download(site.address, None)
    assert len(site.ranges) == module.ATTEMPTS


def test_a_file_that_is_not_there_is_not_asked_for_again(serve: Any) -> None:
    site = serve(lambda request: request.head(404, 0))
    with pytest.raises(NotFoundError, match="404 Not Found"):
        download(site.address, None)
    assert len(site.ranges) == 1


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("ftp://example.org/rows.bin", "the scheme 'ftp'"),
        ("file:///etc/passwd", "the scheme 'file'"),
        ("http://127.0.0.1:9/rows.bin?token=secret", "an address of a private network"),
        ("http://169.254.169.254/latest", "an address of a private network"),
        ("http://[::1]:9/rows.bin", "an address of a private network"),
        ("http://10.0.0.1/rows.bin", "an address of a private network"),
    ],
)
def test_a_public_address_may_not_redirect_into_a_private_network(
    serve: Any, target: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = serve(lambda request: request.head(302, 0, Location=target))
    port = site.address.split(":")[2].split("/")[0]
    real = socket.getaddrinfo

    def resolve(host: Any, *rest: Any, **more: Any) -> Any:
        """Resolve a public name: to a public address where asked what it is, here to connect."""
        if host == "data.example.org":
            found = real("127.0.0.1", *rest, **more)
            return (
                [(*info[:4], ("93.184.216.34", 0)) for info in found] if rest == (None,) else found
            )
        return real(host, *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    with pytest.raises(FetchError, match=reason) as caught:
        download(f"http://data.example.org:{port}/rows.bin", None)
    assert "secret" not in str(caught.value)
    assert len(site.ranges) == 1


def test_redirects_between_addresses_of_one_network_are_followed(serve: Any) -> None:
    end = serve(lambda request: request.whole())
    start = serve(lambda request: request.head(302, 0, Location=end.address))
    assert download(start.address, None) == (len(BODY), SHA256)


def test_a_redirect_that_never_ends_is_refused(serve: Any) -> None:
    site = serve(lambda request: request.head(302, 0, Location="/again"))
    with pytest.raises(FetchError, match="more than 10 redirects"):
        download(site.address, None)


def test_the_size_is_known_without_a_download(serve: Any) -> None:
    site = serve(lambda request: request.head(200, 10**12))
    assert content_length(site.address) == 10**12
    assert site.sent == 0
    unknown = serve(lambda request: request.head(200, None, Connection="close"))
    assert content_length(unknown.address) is None
