"""Fetch weights and data sets from the Hugging Face hub."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import quote

from khichdi.plugins import Breach, Pin, PinnedFile, Source
from khichdi.plugins.side_effects import loading
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
            api = _api()
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
            api = _api()
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


def _api() -> HfApi:
    with loading():
        from huggingface_hub import HfApi
        from huggingface_hub.utils import disable_progress_bars

    if not sys.stderr.isatty():
        disable_progress_bars()
    return HfApi(endpoint=os.environ.get("HF_ENDPOINT") or None)


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


@contextmanager
def _errors(params: HuggingFaceParams) -> Iterator[None]:
    """Translate the client's exceptions; the client's own may hold a signed address."""
    from huggingface_hub import errors as hub

    from khichdi.plugins.toolkit import WITHOUT_NETWORK
    from khichdi.plugins.toolkit.scrubbing import first_line

    place = f"{params.repo} ({params.holds})"
    login = "log in with `hf auth login` or set HF_TOKEN"
    try:
        yield
    except FetchError:
        raise
    except hub.GatedRepoError:
        raise FetchError(
            f"{place} is gated: its owners give access to those who accept their conditions",
            hint=f"accept them on the repository's page, then {login}",
        ) from None
    except hub.RevisionNotFoundError:
        raise FetchError(
            f"{place} has no revision `{params.revision}`",
            hint="name a branch, a tag, or a commit in full",
        ) from None
    except hub.RepositoryNotFoundError:
        kinds = "a data set needs `repo_type: dataset`; " if params.holds == "model" else ""
        raise FetchError(
            f"{place} is not on the hub, or is private",
            hint=f"look at the name; {kinds}if it is private, {login}",
        ) from None
    except hub.RemoteEntryNotFoundError as error:
        raise FetchError(
            f"{place}: a pinned file is gone: {first_line(error)}",
            hint="the history of the repository was rewritten; pin again with `recipe lock`",
        ) from None
    except (hub.OfflineModeIsEnabled, hub.LocalEntryNotFoundError) as error:
        raise FetchError(
            f"{place}: the hub cannot be reached: {first_line(error)}",
            hint="look at the network, at HF_ENDPOINT, and whether HF_HUB_OFFLINE is set; "
            + WITHOUT_NETWORK,
        ) from None
    except Exception as error:
        # The client changes its HTTP library between versions, and with it what it raises.
        raise FetchError(
            f"{place}: {type(error).__name__}: {first_line(error)}",
            hint="look at the network, at HF_ENDPOINT, and at https://status.huggingface.co; "
            + WITHOUT_NETWORK,
        ) from None
