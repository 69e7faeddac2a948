"""A small Hugging Face hub: a real HTTP server on this machine that speaks the hub's API.

It serves repositories held in memory: revisions, file listings, downloads, large files through a
second address as the real hub does, gated repositories and error codes; and it takes new
repositories, branches, large files and commits (`hub_writes.py`). It offers no xet.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from http_site import QuietHandler, Server
from hub_writes import TOKEN, Writes


@dataclass
class Repo:
    """A repository: files by path, for each commit; branches name commits."""

    name: str
    kind: str = "models"
    gated: bool = False
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    large: tuple[str, ...] = (".safetensors", ".parquet", ".bundle")
    private: bool = False
    served: dict[str, bytes] = field(default_factory=dict)
    """What is sent in the place of a file's bytes: a hub that lies."""
    expired: bool = False
    """Whether the signed addresses of large files are refused."""

    def commit(self, files: dict[str, bytes], branch: str = "main") -> str:
        """Add a commit with these files and move the branch to it."""
        content = {path: hashlib.sha256(data).hexdigest() for path, data in files.items()}
        sha = hashlib.sha1(json.dumps([content, len(self.commits)]).encode()).hexdigest()
        self.commits[sha] = dict(files)
        self.branches[branch] = sha
        return sha

    def resolve(self, revision: str) -> str | None:
        sha = self.branches.get(revision, revision)
        return sha if sha in self.commits else None

    def is_large(self, path: str) -> bool:
        return path.endswith(self.large)

    def entry(self, path: str, data: bytes) -> dict[str, Any]:
        """Return what the hub tells of a file."""
        blob = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
        entry: dict[str, Any] = {"type": "file", "path": path, "size": len(data), "oid": blob}
        if self.is_large(path):
            sha256 = hashlib.sha256(data).hexdigest()
            entry["lfs"] = {"oid": sha256, "size": len(data), "pointerSize": 134}
        return entry


@dataclass
class Fault:
    """A request that goes wrong, once: answered with a status, or cut.

    `after` lets the hub do what was asked before it goes wrong, as if the answer had been lost.
    """

    method: str
    part: str
    status: int | None = None
    after: bool = False
    before: Callable[[], object] = lambda: None


class Hub:
    """The server; `url` is what HF_ENDPOINT is set to. Use it in a `with`."""

    def __init__(self) -> None:
        self.repos: dict[tuple[str, str], Repo] = {}
        self.log: list[str] = []
        self.objects: dict[str, bytes] = {}
        """Large files that were uploaded, by sha256."""
        self.faults: list[Fault] = []
        """What befalls the next requests, each once."""

        class Handler(_Handler):
            hub = self

        # The real hub sends large files from another host, and clients treat that differently.
        self._servers = [Server(("127.0.0.1", 0), Handler) for _ in range(2)]
        self.url, self.cdn = (f"http://127.0.0.1:{s.server_address[1]}" for s in self._servers)

    def add(self, name: str, kind: str = "models", **options: Any) -> Repo:
        self.repos[kind, name] = Repo(name, kind, **options)
        return self.repos[kind, name]

    def __enter__(self) -> Hub:
        for server in self._servers:
            Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        for server in self._servers:
            server.shutdown()
            server.server_close()


class _Handler(Writes, QuietHandler):
    hub: Hub
    _mute = False

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def do_PUT(self) -> None:
        self._answer()

    def _answer(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        fault = self._fault()
        if fault is None:
            return self._serve(body)
        fault.before()
        if fault.after:
            self._mute = True
            self._serve(body)
            self._mute = False
        if fault.status is not None:
            return self._error(fault.status, "Fault", "it was asked to go wrong")
        self.close_connection = True
        self.connection.close()
        return None

    def _fault(self) -> Fault | None:
        for fault in self.hub.faults:
            if fault.method == self.command and fault.part in self.path:
                self.hub.faults.remove(fault)
                return fault
        return None

    def _serve(self, body: bytes) -> None:
        address = urlsplit(self.path)
        parts = [unquote(part) for part in address.path.strip("/").split("/")]
        self.hub.log.append(f"{self.command} {unquote(address.path)}")
        if self._written(parts, body):
            return None
        if parts[0] == "api":
            return self._api(parts[1], parts[2:], body)
        if parts[0] == "cdn":
            return self._cdn(parts[1])
        kind = "datasets" if parts[0] == "datasets" else "models"
        rest = parts[1:] if kind == "datasets" else parts
        return self._resolve(kind, rest)

    def _find(self, kind: str, parts: list[str], verb: str) -> tuple[Repo, str, list[str]] | None:
        """Return repository, commit and the rest of the address, or answer with an error."""
        at = parts.index(verb) if verb in parts else len(parts)
        repo = self.hub.repos.get((kind, "/".join(parts[:at])))
        if repo is None:
            return self._error(401, "RepoNotFound", "Repository not found")
        if repo.gated and self.headers.get("Authorization") != f"Bearer {TOKEN}":
            known = self.headers.get("Authorization") is not None
            return self._error(403 if known else 401, "GatedRepo", "Access is restricted")
        revision = parts[at + 1] if at + 1 < len(parts) else "main"
        commit = repo.resolve(revision)
        if commit is None:
            return self._error(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        return repo, commit, parts[at + 2 :]

    def _api(self, kind: str, parts: list[str], body: bytes) -> None:
        verbs = [verb for verb in ("revision", "tree", "paths-info") if verb in parts]
        found = self._find(kind, parts, verbs[0] if verbs else "")
        if found is None:
            return None
        repo, commit, rest = found
        entries = [repo.entry(path, data) for path, data in repo.commits[commit].items()]
        if "tree" in verbs:
            return self._json(self._tree(entries, "/".join(rest)))
        if "paths-info" in verbs:
            wanted = self._paths(body)
            return self._json(
                [e for e in entries if e["path"] in wanted] + self._folders(repo, commit, wanted)
            )
        siblings = [
            {"rfilename": e["path"], "size": e["size"], "blobId": e["oid"]}
            | ({"lfs": {"sha256": e["lfs"]["oid"], "size": e["size"], "pointerSize": 134}}
               if "lfs" in e else {})
            for e in entries
        ]  # fmt: skip
        known = {"_id": "1", "id": repo.name, "sha": commit, "private": repo.private, "tags": []}
        return self._json(known | {"downloads": 0, "likes": 0, "siblings": siblings})

    def _tree(self, entries: list[dict[str, Any]], folder: str) -> list[dict[str, Any]]:
        """Return what is below a folder; only the next level unless all are asked for."""
        start = f"{folder}/" if folder else ""
        below = [entry for entry in entries if entry["path"].startswith(start)]
        inner = {start + e["path"][len(start) :].split("/")[0] for e in below}
        folders = sorted(inner - {entry["path"] for entry in below})
        listed = [
            {"type": "directory", "path": path, "size": 0, "oid": "0" * 40} for path in folders
        ]
        if "recursive=true" in self.path.lower():
            return listed + below
        return listed + [entry for entry in below if entry["path"] in inner]

    def _paths(self, body: bytes) -> list[str]:
        if self.headers.get("Content-Type", "").startswith("application/json"):
            return list(json.loads(body)["paths"])
        return parse_qs(body.decode())["paths"]

    def _folders(self, repo: Repo, commit: str, wanted: list[str]) -> list[dict[str, Any]]:
        return [
            {"type": "directory", "path": path, "size": 0, "oid": "0" * 40}
            for path in wanted
            if any(name.startswith(f"{path}/") for name in repo.commits[commit])
        ]

    def _resolve(self, kind: str, parts: list[str]) -> None:
        found = self._find(kind, parts, "resolve")
        if found is None:
            return None
        repo, commit, rest = found
        path = "/".join(rest)
        data = repo.commits[commit].get(path)
        if data is None:
            return self._error(404, "EntryNotFound", f"Entry not found: {path}", commit)
        entry = repo.entry(path, data)
        headers = {"X-Repo-Commit": commit, "ETag": f'"{entry["oid"]}"'}
        sent = repo.served.get(path, data)
        if "lfs" not in entry:
            return self._bytes(200, sent, headers)
        key = hashlib.sha256(f"{repo.name}/{commit}/{path}".encode()).hexdigest()
        _CDN[key] = None if repo.expired else sent
        headers |= {
            "X-Linked-Etag": f'"{entry["lfs"]["oid"]}"',
            "X-Linked-Size": str(len(data)),
            "Location": f"{self.hub.cdn}/cdn/{key}?Signature=secret-of-the-address",
        }
        return self._bytes(302, b"", headers)

    def _cdn(self, key: str) -> None:
        data = _CDN[key]
        if data is None:
            return self._bytes(403, b"Request has expired", {})
        return self._bytes(200, data, {"ETag": f'"{key}"'})

    def _json(self, value: Any) -> None:
        self._bytes(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def _error(self, status: int, code: str, message: str, commit: str | None = None) -> None:
        headers = {"X-Error-Code": code, "X-Error-Message": message}
        if commit:
            headers["X-Repo-Commit"] = commit
        self._bytes(status, json.dumps({"error": message}).encode(), headers)

    def _bytes(self, status: int, data: bytes, headers: dict[str, str]) -> None:
        if self._mute:
            return
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)


_CDN: dict[str, bytes | None] = {}
