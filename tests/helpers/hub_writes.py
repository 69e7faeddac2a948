"""The writing half of the loopback hub: repositories, branches, large files and commits.

It answers what the real hub's API answers to `huggingface_hub`, and is as strict: a write needs the
token, a large file must have the digest that it was announced with, and a commit must stand on the
head of its branch.
"""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

TOKEN = "hf_" + "a" * 34
"""The token that may write, and that gated repositories open to."""

ATTRIBUTES = b"*.safetensors filter=lfs diff=lfs merge=lfs -text\n"
"""What the hub itself writes into a new repository."""


class Writes:
    """Answers to requests that write; mixed into the handler of `tests/hub.py`."""

    hub: Any
    headers: Any
    command: str
    _error: Any
    _json: Any
    _bytes: Any

    def _written(self, parts: list[str], body: bytes) -> bool:
        """Answer a request that writes; return whether it was one."""
        verb = next((verb for verb in VERBS if verb in parts), None)
        if self.command == "PUT" and parts[0] == "upload":
            self._put(parts[1], body)
        elif self.command == "POST" and verb is not None:
            if self.headers.get("Authorization") != f"Bearer {TOKEN}":
                self._error(401, "Unauthorized", "Invalid username or password.")
            else:
                VERBS[verb](self, parts, json.loads(body) if verb != "commit" else body)
        else:
            return False
        return True

    def _validate(self, parts: list[str], asked: Any) -> None:
        self._json({"errors": [], "warnings": []})

    def _create(self, parts: list[str], asked: Any) -> None:
        name = f"{asked['organization']}/{asked['name']}"
        if asked["organization"] == "others":
            return self._error(403, "Forbidden", "You don't have the rights to create a model")
        if ("models", name) in self.hub.repos:
            url = {"error": "You already created this model repo", "url": f"{self.hub.url}/{name}"}
            return self._bytes(409, json.dumps(url).encode(), {"Content-Type": "application/json"})
        repo = self.hub.add(name, private=asked.get("visibility") == "private")
        repo.commit({".gitattributes": ATTRIBUTES})
        return self._json({"url": f"{self.hub.url}/{name}"})

    def _branch(self, parts: list[str], asked: Any) -> None:
        repo = self._repo(parts)
        if parts[-1] in repo.branches:
            return self._error(409, "Conflict", "Reference already exists")
        repo.branches[parts[-1]] = repo.branches["main"]
        return self._json({})

    def _repo(self, parts: list[str]) -> Any:
        return self.hub.repos["models", "/".join(parts[2:4])]

    def _preupload(self, parts: list[str], asked: Any) -> None:
        repo = self._repo(parts)
        there = repo.commits[repo.resolve(parts[-1])]
        answers = []
        for file in asked["files"]:
            path, known = file["path"], there.get(file["path"])
            entry = repo.entry(path, known) if known is not None else {}
            oid = entry["lfs"]["oid"] if "lfs" in entry else entry.get("oid")
            mode = "lfs" if repo.is_large(path) else "regular"
            answers.append({"path": path, "uploadMode": mode, "shouldIgnore": False, "oid": oid})
        self._json({"files": answers})

    def _batch(self, parts: list[str], asked: Any) -> None:
        objects = []
        for one in asked["objects"]:
            answer = {"oid": one["oid"], "size": one["size"]}
            if one["oid"] not in self.hub.objects:
                href = f"{self.hub.cdn}/upload/{one['oid']}?Signature=secret-of-the-address"
                answer["actions"] = {"upload": {"href": href, "header": {}}}
            objects.append(answer)
        self._json({"transfer": "basic", "objects": objects})

    def _put(self, oid: str, body: bytes) -> None:
        if hashlib.sha256(body).hexdigest() != oid:
            return self._error(400, "BadDigest", "other bytes than announced")
        self.hub.objects[oid] = body
        return self._bytes(200, b"", {"ETag": f'"{oid}"'})

    def _commit(self, parts: list[str], body: bytes) -> None:
        repo, branch = self._repo(parts), parts[-1]
        head = repo.branches.get(branch)
        items = [json.loads(line) for line in body.splitlines()]
        if head is None:
            return self._error(404, "RevisionNotFound", f"Invalid rev id: {branch}")
        if items[0]["value"].get("parentCommit", head) != head:
            return self._error(412, "PreconditionFailed", "A commit has happened since")
        files = dict(repo.commits[head])
        for item in items[1:]:
            value = item["value"]
            if item["key"] == "deletedFile":
                del files[value["path"]]
            elif item["key"] == "lfsFile":
                files[value["path"]] = self.hub.objects[value["oid"]]
            else:
                files[value["path"]] = base64.b64decode(value["content"])
        commit = repo.commit(files, branch)
        url = f"{self.hub.url}/{repo.name}/commit/{commit}"
        return self._json({"success": True, "commitOid": commit, "commitUrl": url})


VERBS: dict[str, Any] = {
    "validate-yaml": Writes._validate,
    "create": Writes._create,
    "branch": Writes._branch,
    "preupload": Writes._preupload,
    "batch": Writes._batch,
    "commit": Writes._commit,
}
