"""A client of the real `yaml-language-server` (npm), over its standard input and output."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import shutil
import subprocess
import tempfile
import threading
from pathlib import Path
from typing import Any

PACKAGE = "yaml-language-server@1.25.0"
WAIT = 60
"""Seconds after which the server is taken to hang; it answers in well under one."""


def install() -> Path | str:
    """Return the server's program, installed once per user, or why there is none."""
    if not shutil.which("node") or not shutil.which("npm"):
        return "node and npm are not on this machine"
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = cache / "khichdi-tests" / PACKAGE.replace("@", "-")
    program = folder / "node_modules" / "yaml-language-server" / "bin" / "yaml-language-server"
    if not program.is_file():
        # Installed aside and moved, so that test runs side by side do not see half of it.
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as aside:
            limits = ["--no-audit", "--no-fund", "--fetch-retries=0", "--fetch-timeout=20000"]
            command = ["npm", "install", "--prefix", aside, *limits, PACKAGE]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                return f"npm could not install {PACKAGE}: {done.stderr.strip()[-300:]}"
            with contextlib.suppress(OSError):  # another was first
                Path(aside, "node_modules").rename(_made(folder) / "node_modules")
    return program


def _made(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    return folder


class LanguageServer:
    """A running server; `with LanguageServer(program) as server:` ends it."""

    def __init__(self, program: Path) -> None:
        self._process = subprocess.Popen(
            ["node", str(program), "--stdio"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        self._answers: queue.Queue[dict[str, Any]] = queue.Queue()
        self._published: queue.Queue[dict[str, Any]] = queue.Queue()
        self._number = 0
        threading.Thread(target=self._listen, daemon=True).start()
        completion = {"completionItem": {"documentationFormat": ["markdown"]}}
        self._ask(
            "initialize",
            {
                "processId": os.getpid(),
                "rootUri": None,
                "capabilities": {
                    "textDocument": {
                        "completion": completion,
                        "hover": {"contentFormat": ["markdown"]},
                    },
                    "workspace": {"configuration": True},
                },
            },
        )
        self._tell("initialized", {})

    def __enter__(self) -> LanguageServer:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()

    def open(self, file: Path, text: str) -> list[dict[str, Any]]:
        """Open a document and return the first diagnostics that are published for it."""
        document = {"uri": file.as_uri(), "languageId": "yaml", "version": 1, "text": text}
        self._tell("textDocument/didOpen", {"textDocument": document})
        while True:
            published = self._published.get(timeout=WAIT)
            if published["uri"] == file.as_uri():
                found: list[dict[str, Any]] = published["diagnostics"]
                return found

    def complete(self, file: Path, line: int, column: int) -> dict[str, dict[str, Any]]:
        """Return the completions at a place (counted from 0) by their label."""
        found = self._ask("textDocument/completion", _place(file, line, column))
        items = found["items"] if isinstance(found, dict) else found or []
        return {item["label"]: item for item in items}

    def hover(self, file: Path, line: int, column: int) -> str:
        """Return what is shown over a place (counted from 0), as markdown."""
        found = self._ask("textDocument/hover", _place(file, line, column))
        return str(found["contents"]["value"]) if found else ""

    def _ask(self, method: str, params: Any) -> Any:
        self._number += 1
        self._send({"id": self._number, "method": method, "params": params})
        while True:
            answer = self._answers.get(timeout=WAIT)
            if answer["id"] == self._number:
                assert "error" not in answer, answer
                return answer["result"]

    def _tell(self, method: str, params: Any) -> None:
        self._send({"method": method, "params": params})

    def _send(self, message: dict[str, Any]) -> None:
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        assert self._process.stdin
        self._process.stdin.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)
        self._process.stdin.flush()

    def _listen(self) -> None:
        """Sort what the server says into answers and diagnostics, and answer its questions."""
        stream = self._process.stdout
        assert stream
        while header := stream.readline():
            if not header.lower().startswith(b"content-length:"):
                continue
            while stream.readline().strip():
                pass
            message = json.loads(stream.read(int(header.split(b":")[1])))
            method = message.get("method")
            if method == "textDocument/publishDiagnostics":
                self._published.put(message["params"])
            elif method and "id" in message:
                self._send({"id": message["id"], "result": _settings(message)})
            elif "id" in message:
                self._answers.put(message)


def _settings(question: dict[str, Any]) -> Any:
    """Return VS Code's settings for YAML, without the catalogue of schemas on the network."""
    if question["method"] != "workspace/configuration":
        return None
    yaml = {
        "validate": True,
        "completion": True,
        "hover": True,
        "schemaStore": {"enable": False},
    }
    items = question["params"]["items"]
    return [yaml if item.get("section") == "yaml" else {} for item in items]


def _place(file: Path, line: int, column: int) -> dict[str, Any]:
    return {
        "textDocument": {"uri": file.as_uri()},
        "position": {"line": line, "character": column},
    }
