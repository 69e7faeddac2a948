"""List and download a published repository: within bounds, each file as the hub lists it."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ...plugins.toolkit.http_download import download
from ...plugins.toolkit.hub import hub_client, hub_errors
from ...schema.errors import FetchError
from ...schema.file_names import inside
from ...schema.units import gibibytes
from .address import HubAddress
from .layout import PublishedError
from .upload import same_bytes

MOST_FILES = 200
MOST_BYTES = 100 << 30
"""Bytes of all files that are downloaded, whatever a repository lists."""


class Repository:
    """The files of one commit of a repository, as the hub lists them; `address` has the commit.

    Raises:
        FetchError: it cannot be reached, or is beyond what is downloaded.
    """

    def __init__(self, address: HubAddress) -> None:
        with hub_errors(str(address), revision=address.wanted):
            self.api = hub_client()
            info = self.api.repo_info(address.repo, revision=address.wanted, files_metadata=True)
        self.address = address.at(str(info.sha))
        self.listed: dict[str, Any] = {one.rfilename: one for one in info.siblings or ()}
        odd = next((path for path in self.listed if not inside(path)), None)
        if odd is not None:
            raise PublishedError(f"{self.address}: {odd!r} is not allowed as a file's name")
        sizes = [one.size for one in self.listed.values()]
        known = all(isinstance(size, int) and size >= 0 for size in sizes)
        if not known or len(sizes) > MOST_FILES or sum(sizes) > MOST_BYTES:
            raise FetchError(
                f"{self.address} has {len(sizes)} files of {gibibytes(sum(filter(None, sizes)))}: "
                f"more than is downloaded ({MOST_FILES} files, {gibibytes(MOST_BYTES)})",
                hint="download its khichdi/run.bundle yourself, and name that file",
            )

    def fetch(self, paths: Iterable[str], into: Path) -> None:
        """Download files below a folder, and compare each with what the hub lists.

        Raises:
            FetchError: a file cannot be had, or the disk has no room for all.
            PublishedError: the hub sends other bytes than it lists.
        """
        from huggingface_hub import hf_hub_url
        from huggingface_hub.utils import build_hf_headers

        paths = list(paths)
        due = sum(self.listed[path].size for path in paths)
        into.mkdir(parents=True, exist_ok=True)
        if due > shutil.disk_usage(into).free:
            raise FetchError(
                f"{self.address}: {gibibytes(due)} do not fit on the disk of {into.name}",
                hint="name a folder on another disk with --scratch or TMPDIR",
            )
        token = build_hf_headers().get("authorization")
        for path in paths:
            url = hf_hub_url(
                self.address.repo, path, revision=self.address.wanted, endpoint=self.api.endpoint
            )
            place = into / path
            place.parent.mkdir(parents=True, exist_ok=True)
            _, found = download(url, place, self.listed[path].size, authorization=token)
            if not same_bytes(self.listed[path], place):
                raise PublishedError(
                    f"{self.address}: {path} has other bytes than the hub lists: sha256 {found}",
                    hint="fetch it again; if it stays so, ask the hub's operator",
                )
