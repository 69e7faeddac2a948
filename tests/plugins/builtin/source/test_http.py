from __future__ import annotations

import hashlib

import pytest
from http_site import QuietHandler, serving
from pydantic import ValidationError

from khichdi.plugins.toolkit import http_download
from khichdi.schema.errors import FetchError

BODY = b"question,answer\n" * 50_000
SHA256 = hashlib.sha256(BODY).hexdigest()


class Handler(QuietHandler):
    def do_GET(self):
        path = self.path.split("?")[0]
        if path == "/moved.csv":
            return self.head(302, 0, Location="/data.csv?token=secret-query")
        status = {"/data.csv": 200, "/short.csv": 200}.get(
            path, int(path[1:4]) if path[1:4].isdigit() else 404
        )
        self.head(status, len(BODY))
        if path == "/short.csv":
            self.wfile.write(BODY[:1000])
            self.close_connection = True
        else:
            self.wfile.write(BODY)
        return None


@pytest.fixture(scope="module")
def server():
    """Yield the address of a web server on this machine."""
    with serving(Handler) as web:
        yield f"127.0.0.1:{web.server_port}"


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    """Try again at once."""
    monkeypatch.setattr(http_download.time, "sleep", lambda seconds: None)


def test_a_file_is_pinned_and_brought(make, fetch, matches, server):
    source = make("http", url=f"http://{server}/data.csv", sha256=SHA256)

    pin = source.pin(None)

    [file] = pin.files
    assert (file.path, file.size, file.sha256) == ("data.csv", len(BODY), f"sha256:{SHA256}")
    assert fetch(source, pin) == {"data.csv": BODY}
    assert matches(pin)


def test_redirects_are_followed_and_the_name_can_be_given(make, fetch, server):
    source = make("http", url=f"http://{server}/moved.csv", sha256=SHA256, filename="x.csv")
    assert list(fetch(source, source.pin(None))) == ["x.csv"]


def test_a_wrong_digest_names_both(make, fetch, server):
    other = "0" * 64
    right = make("http", url=f"http://{server}/data.csv", sha256=SHA256)
    wrong = make("http", url=f"http://{server}/data.csv", sha256=other)

    with pytest.raises(FetchError, match=f"sha256 {SHA256}, expected {other}"):
        fetch(wrong, right.pin(None))


@pytest.mark.parametrize(
    ("path", "message", "hint"),
    [
        ("nothing.csv", "404 Not Found", "check the address"),
        ("403.csv", "403 Forbidden", "use the source `files`"),
        ("503.csv", "503 Service Unavailable", "try again later"),
        ("short.csv", "127.0.0.1", "network"),
    ],
)
def test_what_the_server_says_is_passed_on_without_secrets(
    make, fetch, server, path, message, hint
):
    url = f"http://anna:pass-word@{server}/{path}?token=secret-query"
    source = make("http", url=url, sha256=SHA256)
    with pytest.raises(FetchError, match=message) as caught:
        fetch(source, source.pin(None))

    assert hint in caught.value.hint
    assert "pass-word" not in str(caught.value)
    assert "secret-query" not in str(caught.value)


def test_the_pin_keeps_no_secret(make, server):
    url = f"http://anna:pass-word@{server}/data.csv?token=secret-query"
    [file] = make("http", url=url, sha256=SHA256).pin(None).files
    assert file.url == f"http://{server}/data.csv"


def test_no_server_is_an_error_that_says_what_to_look_at(make):
    with pytest.raises(FetchError, match=r"http://127\.0\.0\.1:9/x: ") as caught:
        make("http", url="http://127.0.0.1:9/x", sha256=SHA256).pin(None)
    assert "network" in caught.value.hint
    assert "`--mirror DIR`" in caught.value.hint


@pytest.mark.parametrize(
    "params",
    [
        {"url": "ftp://host/x", "sha256": SHA256},
        {"url": "http://host/x", "sha256": "abc"},
        {"url": "http://host/", "sha256": SHA256},
        {"url": "http://host/x", "sha256": SHA256, "filename": "a/b"},
        {"url": "http://host/x", "sha256": SHA256, "filename": ".."},
        {"url": "http://host/x"},
    ],
)
def test_parameters_that_make_no_sense_are_refused(make, params):
    with pytest.raises(ValidationError):
        make("http", **params)
