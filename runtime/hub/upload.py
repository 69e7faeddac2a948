"""Upload files to a repository of the hub in one commit, and confirm what the hub has of them."""

from __future__ import annotations

import hashlib
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...plugins.toolkit.hub import LOGIN, hub_client, hub_errors
from ...schema.digest import file_sha256
from ...schema.errors import InputError, WorkError
from .address import BRANCH, HubAddress
from .layout import GIT_ATTRIBUTES, meaning

if TYPE_CHECKING:
    from huggingface_hub import HfApi

ATTEMPTS = 4
"""Commits that are tried before an upload fails; the client retries single requests by itself."""

TRANSIENT = {408, 409, 412, 425, 429, 500, 502, 503, 504}
"""Answers after which an upload is tried again; 409 and 412: another commit came in between."""

REFUSED = {401, 403}
CHUNK = 1 << 20


class PublishError(WorkError):
    """A run could not be published, or only in part."""

    code = "publish"


@dataclass(frozen=True)
class UploadFile:
    """A file to upload: its path in the repository, and where it lies."""

    path: str
    file: Path

    @property
    def size(self) -> int:
        """Its bytes."""
        return self.file.stat().st_size

    @property
    def meaning(self) -> str:
        """What it is."""
        return meaning(self.path)


def upload(
    address: HubAddress,
    files: Sequence[UploadFile],
    *,
    message: str,
    private: bool = False,
    replace: bool = False,
) -> str:
    """Upload all files in one commit, and return the commit.

    A repository or branch that is not there is created. Nothing is committed where it would not
    change anything, so an upload that was interrupted is finished by the next.

    Args:
        address: the repository; its revision is the branch.
        files: all files that the branch is to have.
        message: the commit's message.
        private: create the repository as a private one.
        replace: remove files that are on the branch and not among `files`.

    Raises:
        InputError: the branch has other files, or the repository is public and was to be private.
        PublishError: the hub refuses, cannot be reached, or has other bytes afterwards.
    """
    api = hub_client()
    with hub_errors(str(address), revision=address.wanted, kind=PublishError):
        try:
            _prepare(api, address, private=private)
            commit = _commit(api, address, files, message, replace=replace)
            _confirm(api.repo_info(address.repo, revision=commit, files_metadata=True), files)
        except Exception as error:
            status = _status(error)
            if status not in REFUSED:
                raise
            raise PublishError(
                f"{address}: the hub refuses to write ({status})",
                hint=f"{LOGIN} with a token that may write to {address.repo.split('/')[0]}",
            ) from None
    return commit


def _prepare(api: HfApi, address: HubAddress, *, private: bool) -> None:
    """Create repository and branch where they are not there."""
    api.create_repo(address.repo, private=private or None, exist_ok=True)
    if private and not api.repo_info(address.repo).private:
        raise InputError(
            f"hf://{address.repo} is there already, and public",
            hint="leave --private out, or make the repository private on its page",
        )
    if address.wanted != BRANCH:
        api.create_branch(address.repo, branch=address.wanted, exist_ok=True)


def _commit(
    api: HfApi, address: HubAddress, files: Sequence[UploadFile], message: str, *, replace: bool
) -> str:
    """Commit on top of the branch's head as it is at each attempt."""
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

    for attempt in range(1, ATTEMPTS + 1):
        head = api.repo_info(address.repo, revision=address.wanted)
        others = _others(head, files)
        if others and not replace:
            more = f" and {len(others) - 5} more" if len(others) > 5 else ""
            raise InputError(
                f"{address} has files that are not of this run: {', '.join(others[:5])}{more}",
                hint="choose another repository or --branch, or remove them with --replace",
            )
        operations: list[Any] = [CommitOperationAdd(one.path, str(one.file)) for one in files]
        operations += [CommitOperationDelete(path, is_folder=False) for path in others]
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of the card's metadata: those are the run's
                made = api.create_commit(
                    address.repo,
                    operations,
                    commit_message=message,
                    revision=address.wanted,
                    parent_commit=head.sha,
                )
            return str(made.oid)
        except Exception as error:
            if attempt == ATTEMPTS or not _transient(error):
                raise
        time.sleep(0.5 * 2 ** (attempt - 1))
    raise AssertionError("the last attempt returns or raises")


def _others(head: Any, files: Sequence[UploadFile]) -> list[str]:
    there = {sibling.rfilename for sibling in head.siblings or ()}
    return sorted(there - {one.path for one in files} - {GIT_ATTRIBUTES})


def _confirm(info: Any, files: Sequence[UploadFile]) -> None:
    """Compare the hub's own sizes and digests with the files: it may have received other bytes."""
    listed = {sibling.rfilename: sibling for sibling in info.siblings or ()}
    for one in files:
        found = listed.get(one.path)
        if found is None or not same_bytes(found, one.file):
            raise PublishError(
                f"{one.path} is not on the hub as it was uploaded, in commit {info.sha}",
                hint="publish again",
            )


def same_bytes(listed: Any, file: Path) -> bool:
    """Return whether a file has the size and the digest that the hub lists.

    The hub has the sha256 of large files, and git's own digest, a sha1, of others.
    """
    if listed.size != file.stat().st_size:
        return False
    if listed.lfs is not None:
        return bool(file_sha256(file) == f"sha256:{listed.lfs.sha256}")
    state = hashlib.sha1(b"blob %d\0" % listed.size, usedforsecurity=False)
    with file.open("rb") as stream:
        while chunk := stream.read(CHUNK):
            state.update(chunk)
    return bool(state.hexdigest() == listed.blob_id)


def _causes(error: BaseException | None) -> list[BaseException]:
    found = []
    while error is not None:
        found.append(error)
        error = error.__cause__
    return found


def _status(error: BaseException) -> int | None:
    """Return the HTTP status that an exception is about; the client wraps its own."""
    for one in _causes(error):
        status = getattr(getattr(one, "response", None), "status_code", None)
        if isinstance(status, int):
            return status
    return None


def _transient(error: BaseException) -> bool:
    """Return whether trying again may help.

    The client changes its HTTP library between versions; what they share are names of exceptions.
    """
    status = _status(error)
    if status is not None:
        return status in TRANSIENT
    names = {kind.__name__ for one in _causes(error) for kind in type(one).__mro__}
    return bool(names & {"TransportError", "ConnectionError", "TimeoutError"})
