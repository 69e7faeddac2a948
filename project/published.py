"""Open a run from the hub alone: its bundle, and the adapter folder that people download.

The bundle is unpacked, and the files of the repository are put where the adapter folder of a run
lies. So the audit of a repository is the audit of a run, and compares what people download.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from ..runtime.adapter_folder import expected_files
from ..runtime.audit.audited_run import Claim, copied_folders, open_claim
from ..runtime.bundle.read import check_contents, unpacked
from ..runtime.hub.address import parse_address
from ..runtime.hub.layout import (
    ATTESTATION,
    BUNDLE,
    GIT_ATTRIBUTES,
    LINEAGE,
    PROOF,
    SIGNATURE,
    PublishedError,
    check_attributes,
)
from ..runtime.hub.lineage import lineage
from ..runtime.hub.repository import Repository
from ..runtime.tempdirs import scratch_folder
from ..schema.digest import file_sha256


@contextlib.contextmanager
def published(address: str, store: Path, scratch: str | None = None) -> Iterator[Claim]:
    """Yield the claim of a run that was published to the hub.

    Args:
        address: `hf://OWNER/NAME[@REVISION]`.
        store: root of a store that may have what the bundle leaves out.
        scratch: the temporary folder that files are downloaded to.

    Raises:
        InputError: the address or the bundle cannot be read.
        PublishedError: a file of the repository is missing, unknown or not the bundle's.
        FetchError: the repository cannot be reached, or is too large.
    """
    repository = Repository(parse_address(address))
    if BUNDLE not in repository.listed:
        raise PublishedError(
            f"{repository.address} has no {BUNDLE}: no run was published there",
            hint="publish one with `recipe publish RUN --to hf://OWNER/NAME`",
        )
    with scratch_folder("hub", scratch) as place:
        folder = Path(place)
        proof = [path for path in (GIT_ATTRIBUTES, *PROOF) if path in repository.listed]
        repository.fetch(proof, folder)
        if GIT_ATTRIBUTES in proof:
            check_attributes((folder / GIT_ATTRIBUTES).read_bytes())
        with unpacked(folder / BUNDLE, scratch) as (inside, contents):
            claim = open_claim(inside, str(repository.address), (inside, store))
            check_contents(contents, claim)
            _fetch_adapter(repository, claim)
            _check_proof(repository, claim, folder)
            yield claim


def _fetch_adapter(repository: Repository, claim: Claim) -> None:
    """Download the files of the adapter folder; refuse any that the run does not have."""
    output = copied_folders(claim).get("adapter")
    known = set(expected_files(claim, output)) if output is not None else set()
    names = set(repository.listed) - set(PROOF) - {GIT_ATTRIBUTES}
    unknown = sorted(names - known)
    if unknown:
        raise PublishedError(
            f"{repository.address} has files that are not of the run: {', '.join(unknown)}",
            hint="nothing shows what they are: ask the repository's owner",
        )
    repository.fetch(sorted(names), claim.folder / "adapter")


def _check_proof(repository: Repository, claim: Claim, folder: Path) -> None:
    """Compare the files beside the adapter's with the bundle, and the lineage with what follows."""
    for path in (ATTESTATION, SIGNATURE):
        own, there = claim.folder / Path(path).name, path in repository.listed
        if path == ATTESTATION and own.is_file() and not there:
            raise PublishedError(f"{repository.address} lacks {path}, which its bundle has")
        if there and not (own.is_file() and file_sha256(own) == file_sha256(folder / path)):
            raise PublishedError(f"{repository.address}: {path} is not the one of its bundle")
    adapter = claim.folder / "adapter"
    files = {path.name: file_sha256(path) for path in adapter.iterdir()}
    made = lineage(claim, files, (BUNDLE, file_sha256(folder / BUNDLE)))
    if LINEAGE not in repository.listed or (folder / LINEAGE).read_bytes() != made:
        has = "is not what follows from" if LINEAGE in repository.listed else "is missing beside"
        raise PublishedError(f"{repository.address}: {LINEAGE} {has} its run and files")
