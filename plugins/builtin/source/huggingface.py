"""Fetch weights and data sets from the Hugging Face hub."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import quote

from khichdi.plugins import Breach, Pin, PinnedFile, Source
from khichdi.plugins.toolkit.hub import hub_client, hub_errors
from khichdi.schema.errors import FetchError

from .huggingface_params import HuggingFaceParams

if TYPE_CHECKING:
    from huggingface_hub import HfApi

DEFAULT_INCLUDE = {
    "model": (
        "*.safetensors",
        "*.json",
        "tokenizer*",
        "*.model",
        "*.jinja",
        "additional_chat_templates/*.jinja",
    ),
    "dataset": tuple(
        f"**/*.{ending}" for ending in ("jsonl", "ndjson", "json", "csv", "tsv", "parquet")
    ),
}
NO_DATA = ("dataset_infos.json", "**/.*")
"""Files of data sets that look like data and are not."""

COMMIT = re.compile(r"[0-9a-f]{40}")


class HuggingFace(Source[HuggingFaceParams]):
    """Fetch files from the Hugging Face hub, with the hub's own client and login."""

    name = "huggingface"
    single_files = True
    example = {"repo": "GAIR/lima", "repo_type": "dataset", "include": ["train.jsonl"]}
    requires = ("huggingface_hub",)

    def pin(self, folder: Path) -> Pin:
        """Resolve the revision to a commit, and each file to its size and sha256.

        The hub has the digests of large files; small ones are downloaded to compute it.
        """
        params = self.params
        with _errors(params), TemporaryDirectory(prefix="khichdi-") as scratch:
            api = hub_client()
            info = _info(api, params, params.revision)
            if params.config or params.split:
                from .hub_splits import split_files

                of_split = split_files(params, str(info.sha))
                paths = [path for path in of_split if path in _listed(info)]
            else:
                paths = list(_listed(info))
            chosen = self._choose(paths)
            files = []
            for path in chosen:
                sibling = _listed(info)[path]
                files.append(_pinned(api, params, str(info.sha), sibling, Path(scratch)))
        return Pin(tuple(files), revision=str(info.sha))

    def fetch(self, pin: Pin, folder: Path, into: Path) -> None:
        """Download the pinned files at the pinned commit, wherever the branch is now."""
        from .transfer import target

        if not COMMIT.fullmatch(pin.revision or ""):
            raise FetchError("the lock does not name a commit", hint="pin it again: `recipe lock`")
        # On the file system of the target, so that gigabytes are moved and not copied.
        with _errors(self.params), TemporaryDirectory(prefix=".khichdi-", dir=into) as scratch:
            api = hub_client()
            for file in pin.files:
                found = _download(api, self.params, str(pin.revision), file.path, Path(scratch))
                shutil.move(found, target(into, file))

    def title(self) -> str | None:
        """Return `owner/name`."""
        return self.params.repo

    def package_url(self) -> str | None:
        """Return `pkg:huggingface/owner/name`."""
        return f"pkg:huggingface/{quote(self.params.repo, safe='/')}"

    def misuse(self, role: Literal["model", "dataset"]) -> Breach | None:
        """Return what to write where the repository is taken for the other type."""
        holds, repo = self.params.holds, self.params.repo
        if role == "model" and holds == "dataset":
            return Breach(
                "a base model comes from a model repository, and this is a data set",
                hint="leave `repo_type`, `config` and `split` out",
            )
        if role == "dataset" and holds == "model" and self.params.repo_type is None:
            message = f"`{repo}` would be read as a model repository"
            return Breach(message, hint="add `repo_type: dataset`")
        return None

    def place(self) -> str | None:
        """Return `huggingface/models/OWNER/NAME`, or `datasets` for a data set."""
        return f"huggingface/{self.params.holds}s/{self.params.repo}"

    def chosen(self, paths: Sequence[str], folder: Path | None) -> list[str]:
        """Return the files that are asked for; a split is looked for where the files lie."""
        params = self.params
        if params.config or params.split:
            if folder is None:
                raise FetchError(
                    f"{params.repo}: which files a split has cannot be asked of a mirror far away",
                    hint="name the files in `include`, or use a mirror in a folder",
                )
            from .hub_splits import split_files

            of_split = set(split_files(params, None, folder))
            paths = [path for path in paths if path in of_split]
        return self._choose(list(paths))

    def _choose(self, paths: list[str]) -> list[str]:
        from .globs import choose

        params = self.params
        include, exclude = params.include, params.exclude
        if include is None:
            include = ("**/*",) if params.split or params.config else None
        if include is None:
            include = DEFAULT_INCLUDE[params.holds]
            exclude += NO_DATA if params.holds == "dataset" else ()
        chosen = choose(paths, include, exclude)
        weights = any(path.endswith(".safetensors") for path in chosen)
        if not chosen or (params.holds == "model" and params.include is None and not weights):
            what = "no file matches" if not chosen else "there are no safetensors weights"
            some = ", ".join(sorted(paths)[:6]) or "nothing"
            raise FetchError(
                f"{params.repo}: {what} ({', '.join(include)})",
                hint=f"name the files in `include`; it has, among others: {some}",
            )
        return chosen


def _info(api: HfApi, params: HuggingFaceParams, revision: str) -> Any:
    info = api.repo_info(
        params.repo, repo_type=params.holds, revision=revision, files_metadata=True
    )
    if not COMMIT.fullmatch(info.sha or ""):
        raise FetchError(f"{params.repo}: the hub did not return the commit of {revision}")
    return info


def _listed(info: Any) -> Mapping[str, Any]:
    """Return the hub's metadata of each file, by path."""
    return {sibling.rfilename: sibling for sibling in info.siblings or ()}


def _pinned(
    api: HfApi, params: HuggingFaceParams, commit: str, sibling: Any, scratch: Path
) -> PinnedFile:
    from .transfer import chunks_of, pinned, write

    path = sibling.rfilename
    if sibling.lfs is not None:
        return pinned(path, sibling.lfs.size, sibling.lfs.sha256)
    local = _download(api, params, commit, path, scratch)
    with local.open("rb") as stream:
        return pinned(path, *write(chunks_of(stream), None))


def _download(api: HfApi, params: HuggingFaceParams, commit: str, path: str, scratch: Path) -> Path:
    return Path(
        api.hf_hub_download(
            params.repo, path, repo_type=params.holds, revision=commit, local_dir=scratch
        )
    )


def _errors(params: HuggingFaceParams) -> AbstractContextManager[None]:
    """Translate the client's exceptions, with what to look at in this source's parameters."""
    kinds = "a data set needs `repo_type: dataset`; " if params.holds == "model" else ""
    place = f"{params.repo} ({params.holds})"
    return hub_errors(place, revision=params.revision, absent=kinds)
