"""A recipe's server that means harm: what is on disk after a run, and what the user is told."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import random
import re
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from http_site import QuietHandler, serving

from khichdi.cli.main import main
from khichdi.plugins.toolkit import http_download

from .conftest import Workdir, rows

BODY = rows("a river", 2000).encode()
HOST = "data.example.org"
Act = Callable[["Handler"], None]


class Handler(QuietHandler):
    act: Act
    sent = 0
    asked = 0

    def do_GET(self) -> None:
        type(self).asked += 1
        self.act()

    def body(self, data: bytes) -> None:
        type(self).sent += len(data)
        self.wfile.write(data)


@pytest.fixture
def served(
    workdir: Workdir, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Workdir, type[Handler], str]]:
    """Yield a workdir with a locked data set from a public address, its server, and the address."""
    monkeypatch.setattr(http_download.time, "sleep", lambda _: None)
    real = socket.getaddrinfo

    def resolve(host: Any, *rest: Any, **more: Any) -> Any:
        """Resolve the host to a public address where asked what it is, and here to connect."""
        found = real("127.0.0.1" if host == HOST else host, *rest, **more)
        public = host == HOST and rest == (None,)
        return [(*info[:4], ("93.184.216.34", 0)) for info in found] if public else found

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    handler = type("Serving", (Handler,), {"act": whole})
    with serving(handler) as server:
        address = f"http://{HOST}:{server.server_port}/rivers.jsonl"
        source = f"{{use: http, url: {address!r}, sha256: {hashlib.sha256(BODY).hexdigest()}}}"
        workdir.edit("{use: files, include: [colours.jsonl]}", source)
        assert recipe(workdir, "lock", "pico.yaml")[0] == 0
        yield workdir, handler, address


def recipe(workdir: Workdir, *words: str) -> tuple[int, Any]:
    """Run a command in this process."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.chdir(workdir.folder):
        status = main([*words, "--json", "--store", str(workdir.folder / "store")])
    return status, json.loads(out.getvalue())


def left(workdir: Workdir) -> list[str]:
    """Return what is in the store of the file, or of a step that was not finished."""
    store = workdir.folder / "store"
    files = [path.relative_to(store) for path in store.rglob("*") if path.is_file()]
    return [
        path.as_posix()
        for path in files
        if "rivers" in path.name or (path.parts[0] in ("tmp", "work") and path.suffix != ".lock")
    ]


def whole(request: Handler) -> None:
    request.head(200, len(BODY))
    request.body(BODY)


def endless(request: Handler) -> None:
    request.head(200, None, Connection="close")
    while True:
        request.body(BODY)


def endless_with_the_right_length(request: Handler) -> None:
    request.head(200, len(BODY), Connection="close")
    while True:
        request.body(b"x" * len(BODY))


def to_loopback(request: Handler) -> None:
    request.head(302, 0, Location="http://127.0.0.1:9/admin?token=open-sesame")


def to_metadata(request: Handler) -> None:
    request.head(302, 0, Location="http://169.254.169.254/latest/meta-data")


def silent(request: Handler) -> None:
    request.head(200, len(BODY), ETag='"v1"')
    request.close_connection = True


HARM: dict[str, tuple[Act, str]] = {
    "an endless body": (
        endless, f"the server sends more than the {len(BODY):,} bytes that were expected",
    ),
    "other bytes of the right length": (endless_with_the_right_length, "the bytes have sha256 "),
    "a redirect to loopback": (
        to_loopback, "it redirects to http://127.0.0.1:9/admin: an address of a private network",
    ),
    "a redirect to a cloud's metadata": (
        to_metadata,
        "it redirects to http://169.254.169.254/latest/meta-data: an address of a private network",
    ),
    "an answer without a byte, each time": (silent, "peer closed connection"),
}  # fmt: skip


@pytest.mark.parametrize("harm", HARM)
def test_nothing_of_it_stays_on_disk_and_the_address_is_named(
    served: tuple[Workdir, type[Handler], str], harm: str
) -> None:
    workdir, handler, address = served
    handler.act, said = HARM[harm]
    handler.sent = handler.asked = 0
    status, found = recipe(workdir, "run", "pico.yaml", "--locked")
    assert status == 3
    assert found["error"]["message"].startswith(f"{address}: ")
    assert said in found["error"]["message"]
    assert found["error"]["hint"]
    assert "open-sesame" not in json.dumps(found)
    assert left(workdir) == []
    assert handler.asked <= http_download.ATTEMPTS
    assert handler.sent < len(BODY) + (32 << 20)  # what was on its way when the client hung up


def test_a_server_that_cuts_every_answer_at_a_random_byte_is_read_once(
    served: tuple[Workdir, type[Handler], str],
) -> None:
    workdir, handler, _ = served
    chance = random.Random(3)

    def cut(request: Handler) -> None:
        asked = re.match(r"bytes=(\d+)-", request.headers.get("Range", ""))
        start = int(asked[1]) if asked else 0
        span = f"bytes {start}-{len(BODY) - 1}/{len(BODY)}"
        more = {"ETag": '"v1"', **({"Content_Range": span} if start else {})}
        request.head(206 if start else 200, len(BODY) - start, **more)
        request.body(BODY[start : start + chance.randrange(1, len(BODY) // 9)])
        request.close_connection = True

    handler.act = cut
    handler.sent = handler.asked = 0
    workdir.edit("num_epochs: 3", "num_epochs: 1\n  stop_after_steps: 1")
    status, found = recipe(workdir, "run", "pico.yaml", "--locked")
    assert status == 0, found
    (file,) = (workdir.folder / "store").rglob("rivers.jsonl")
    assert file.read_bytes() == BODY
    assert handler.asked > 9
    assert handler.sent == len(BODY)
