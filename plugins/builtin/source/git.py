"""Fetch files from a git repository."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from subprocess import DEVNULL, PIPE
from tempfile import TemporaryDirectory

from pydantic import Field, field_validator

from khichdi.plugins import Params, Pin, Source
from khichdi.schema.errors import FetchError

from .globs import GLOBS_HELP, Glob

COMMIT = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")
POINTER = b"version https://git-lfs.github.com/spec/"


class GitParams(Params):
    """Which repository, at which revision, and which of its files."""

    url: str = Field(
        min_length=1,
        description="URL of the repository, or a folder relative to the recipe.",
    )
    revision: str = Field(
        "HEAD",
        pattern=r"^[^-\s][^\s]*$",
        description="A branch, a tag or a commit; `recipe lock` pins the commit.",
    )
    include: tuple[Glob, ...] = Field(
        min_length=1, description=f"Files to fetch, as patterns. {GLOBS_HELP}"
    )

    @field_validator("url")
    @classmethod
    def _no_option(cls, url: str) -> str:
        if url.startswith("-") or "::" in url:
            raise ValueError("the address of a repository was expected")
        return url


class Git(Source[GitParams]):
    """Fetch files from a git repository."""

    name = "git"
    example = {
        "url": "https://github.com/allenai/natural-instructions",
        "include": ["tasks/*.json"],
    }

    def origin(self) -> str | None:
        """Return the address."""
        return self.params.url

    def pin(self, folder: Path) -> Pin:
        """Resolve the revision to a commit and pin the files in it that match."""
        from .globs import choose
        from .transfer import pinned, write

        url = self._url(folder)
        commit = self._commit(url)
        with self._repository(url, commit) as repository:
            entries = repository.entries
            chosen = choose(entries, self.params.include)
            if not chosen:
                raise FetchError(
                    f"no file of {self._where} at {commit[:12]} matches "
                    + ", ".join(self.params.include),
                    hint=f"it has, among others: {', '.join(sorted(entries)[:5])}",
                )
            files = [pinned(path, *write([data], None)) for path, data in repository.read(chosen)]
        return Pin(tuple(files), revision=commit)

    def fetch(self, pin: Pin, folder: Path, into: Path) -> None:
        """Fetch the pinned commit and write its files, untouched by line-end settings."""
        from .transfer import target

        with self._repository(self._url(folder), str(pin.revision)) as repository:
            files = {file.path: file for file in pin.files}
            for path, data in repository.read(list(files)):
                target(into, files[path]).write_bytes(data)

    def place(self) -> str | None:
        """Return `git/HOST/OWNER/NAME`; a repository on this machine has no place."""
        address = re.sub(r"^[a-z+]+://([^/@]*@)?|^[^/@]*@", "", self.params.url)
        host, _, path = address.replace(":", "/", 1).partition("/")
        if "." not in host or ".." in path.split("/"):
            return None
        return f"git/{host}/{path.strip('/').removesuffix('.git')}"

    def chosen(self, paths: Sequence[str], folder: Path | None) -> list[str]:
        """Return the paths that match `include`."""
        from .globs import choose

        return choose(paths, self.params.include)

    @property
    def _where(self) -> str:
        from khichdi.plugins.toolkit.scrubbing import scrub

        return scrub(self.params.url)

    def _url(self, folder: Path) -> str:
        """Return the address; a folder is looked for from where the recipe is."""
        local = folder / self.params.url
        return str(local.resolve()) if local.is_dir() else self.params.url

    def _commit(self, url: str) -> str:
        """Return the commit that the revision names now."""
        wanted = self.params.revision
        if COMMIT.fullmatch(wanted):
            return wanted
        listed = _git(["ls-remote", "--", url], self._where).decode()
        lines = (line.split("\t", 1) for line in listed.splitlines())
        refs: dict[str, str] = {ref: commit for commit, ref in lines}
        # `^{}` is the commit that an annotated tag points to.
        tag = refs.get(f"refs/tags/{wanted}^{{}}", refs.get(f"refs/tags/{wanted}"))
        branch = refs.get(f"refs/heads/{wanted}")
        if tag and branch and tag != branch:
            raise FetchError(
                f"{self._where} has a branch and a tag named `{wanted}`",
                hint=f"write `refs/heads/{wanted}` or `refs/tags/{wanted}`",
            )
        found = refs.get(f"{wanted}^{{}}") or refs.get(wanted) or branch or tag
        if found is None:
            known = sorted(ref.split("/", 2)[-1] for ref in refs if not ref.endswith("^{}"))
            raise FetchError(
                f"{self._where} has no branch or tag `{wanted}`",
                hint=f"it has: {', '.join(known[:8]) or 'nothing yet'}; a commit is written in "
                "full, 40 digits",
            )
        return found

    @contextmanager
    def _repository(self, url: str, commit: str) -> Iterator[_Repository]:
        """Yield a repository with this one commit, without its history."""
        with TemporaryDirectory(prefix="khichdi-") as scratch:
            repository = _Repository(scratch, self._where, commit)
            repository.git("init", "--quiet", "--bare", *_format(commit))
            repository.git("fetch", "--quiet", "--depth=1", "--no-tags", "--", url, commit)
            yield repository


class _Repository:
    """A bare repository in a scratch folder, with one commit."""

    def __init__(self, folder: str, where: str, commit: str) -> None:
        self._folder, self._where, self._commit = folder, where, commit

    def git(self, *arguments: str) -> bytes:
        return _git(["-C", self._folder, *arguments], self._where)

    @cached_property
    def entries(self) -> dict[str, tuple[str, str]]:
        """Mode and object of each file by its path."""
        listed = self.git("ls-tree", "-r", "-z", "--full-tree", self._commit)
        entries = {}
        for line in listed.split(b"\0")[:-1]:
            head, path = line.split(b"\t", 1)
            mode, kind, name = head.decode().split(" ")
            if kind == "blob":
                entries[path.decode(errors="surrogateescape")] = (mode, name)
        return entries

    def read(self, paths: Sequence[str]) -> Iterator[tuple[str, bytes]]:
        """Yield the files' bytes as the repository has them; one process serves all."""
        for path in paths:
            self._check(path)
        command = [_program(), "-C", self._folder, "cat-file", "--batch"]
        with subprocess.Popen(
            command, stdin=PIPE, stdout=PIPE, stderr=DEVNULL, env=_environment()
        ) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            for path in paths:
                process.stdin.write(f"{self.entries[path][1]}\n".encode())
                process.stdin.flush()
                answer = process.stdout.readline().split()
                if len(answer) != 3:
                    raise FetchError(f"git could not read {path} of {self._where}")
                data = process.stdout.read(int(answer[2]))
                process.stdout.read(1)
                if data.startswith(POINTER):
                    raise FetchError(
                        f"{path} in {self._where} is kept by Git LFS: the repository has only a "
                        "pointer",
                        hint="fetch it by its own URL: `use: http`, or `use: huggingface`",
                    )
                yield path, data

    def _check(self, path: str) -> None:
        if path not in self.entries:
            raise FetchError(f"{self._where} has no {path} at {self._commit}")
        if self.entries[path][0] == "120000":
            raise FetchError(
                f"{path} in {self._where} is a symbolic link",
                hint="name the file that it points to in `include`",
            )


def _program() -> str:
    git = shutil.which("git")
    if git is None:
        raise FetchError("git is not installed", hint="install it: https://git-scm.com/downloads")
    return git


def _environment() -> dict[str, str]:
    """Return the user's settings and credentials, never asking and in no other repository."""
    local = {"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_PREFIX"}
    env = {name: value for name, value in os.environ.items() if name not in local}
    env |= {"GIT_TERMINAL_PROMPT": "0", "GIT_ALLOW_PROTOCOL": "file:git:http:https:ssh"}
    return env | {
        "LC_ALL": "C",
        "GIT_SSH_COMMAND": env.get("GIT_SSH_COMMAND", "ssh -oBatchMode=yes"),
    }


def _format(commit: str) -> list[str]:
    return ["--object-format=sha256"] if len(commit) == 64 else []


def _git(arguments: list[str], where: str) -> bytes:
    from khichdi.plugins.toolkit import WITHOUT_NETWORK

    from .transfer import run

    return run(
        [_program(), *arguments],
        f"git could not read {where}",
        "look at the address, the revision, the network and your access; "
        f"`git ls-remote <address>` shows what git sees; {WITHOUT_NETWORK}",
        env=_environment(),
    )
