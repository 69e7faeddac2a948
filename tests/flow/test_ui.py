"""`recipe ui` starts, says where it is, answers, and stops cleanly at a signal."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from .conftest import Workdir

Start = Callable[..., tuple[subprocess.Popen[str], str]]


@pytest.fixture
def board(workdir: Workdir) -> Iterator[Start]:
    """Return a function that starts a board; what it started ends with the test."""
    started: list[subprocess.Popen[str]] = []

    def start(*words: str, **environment: str) -> tuple[subprocess.Popen[str], str]:
        workdir.environment.update(environment)
        process = workdir.start("ui", "--port", "0", "--json", *words)
        started.append(process)
        assert process.stdout is not None
        text = ""
        while True:  # a JSON document of several lines
            line = process.stdout.readline()
            assert line, process.communicate()[1]
            text += line
            if line == "}\n":
                return process, json.loads(text)["url"]

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_board_answers_until_a_signal(board: Start, number: signal.Signals) -> None:
    process, url = board()
    answer = httpx.get(url)
    assert answer.status_code == 200
    assert "No runs yet." in answer.text
    assert "server" not in answer.headers
    process.send_signal(number)
    _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (0, "")


def test_beyond_this_machine_a_token_is_needed(workdir: Workdir, board: Start) -> None:
    status, out, err = workdir.call("ui", "--host", "0.0.0.0", "--port", "0")
    assert status == 2
    assert "KHICHDI_UI_TOKEN" in out + err
    _, url = board("--host", "0.0.0.0", KHICHDI_UI_TOKEN="long-enough-token")
    port = url.rpartition(":")[2]
    address = f"http://127.0.0.1:{port}/recipes"
    assert httpx.get(address).status_code == 401
    given = {"authorization": "Bearer long-enough-token"}
    assert "pico.yaml" in httpx.get(address, headers=given).text


def test_a_port_that_is_taken_is_an_error_that_says_so(workdir: Workdir) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        document: Any = workdir.json("ui", "--port", str(taken.getsockname()[1]), status=2)
    assert "cannot listen" in document["error"]["message"]
    assert "--port 0" in document["error"]["hint"]
