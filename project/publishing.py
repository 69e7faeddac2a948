"""Publish a run to the Hugging Face hub: the adapter folder, and what shows how it came to be."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from ..runtime.adapter_files import CONFIG
from ..runtime.adapter_folder import CARD, CHAT_TEMPLATE, trained_base
from ..runtime.audit.audited_run import Claim, copied_folders
from ..runtime.bundle.data_check import ArtifactFile, check_artifacts
from ..runtime.bundle.privacy_check import check
from ..runtime.bundle.write import bundle
from ..runtime.hub.address import HubAddress, is_hub_address, parse_address
from ..runtime.hub.layout import ATTESTATION, BUNDLE, LINEAGE, SIGNATURE
from ..runtime.hub.lineage import lineage
from ..runtime.hub.upload import UploadFile, upload
from ..runtime.tempdirs import scratch_folder
from ..schema.digest import file_sha256
from ..schema.errors import InputError
from .audit_target import is_bundle, open_target
from .signatures import refuse_diverged

OWN = (CARD, CONFIG, CHAT_TEMPLATE)
"""Files of an adapter folder that are written here, in which the name of the user is not due."""


@dataclass(frozen=True)
class PublishOptions:
    """What is published, and where.

    Attributes:
        to: `hf://OWNER/NAME`; with `@BRANCH`, that branch.
        branch: the branch; left out, that of the address, else `main`.
        private: create the repository as a private one.
        replace: remove files of the branch that are not of this run.
        data: the bundle has sources, rows and packs.
        weights: the bundle has the base model's files.
        states: the bundle has the states that segments of the training are replayed from.
        allowed: words that look personal but are not.
        dry_run: upload nothing.
    """

    to: str
    branch: str | None = None
    private: bool = False
    replace: bool = False
    data: bool = False
    weights: bool = False
    states: bool = True
    allowed: tuple[str, ...] = ()
    dry_run: bool = False

    def address(self) -> HubAddress:
        """Return the repository and the branch.

        Raises:
            InputError: it is not an address, or names two branches.
        """
        address = parse_address(self.to)
        if self.branch is None:
            return address
        if address.revision not in (None, self.branch):
            raise InputError(f"{self.to} names a branch, and --branch another: give one")
        return replace(address, revision=self.branch)


@dataclass(frozen=True)
class PublishedFile:
    """A file that is uploaded: its path in the repository, its bytes, and what it is."""

    path: str
    size: int
    sha256: str
    meaning: str


@dataclass(frozen=True)
class Publication:
    """What is uploaded, or was.

    Attributes:
        address: the repository; its revision is the branch, and the commit once it is uploaded.
        files: the files.
        left_out: what the bundle leaves out, and signatures that would not hold there.
        unread: files that were not searched for secrets, because they are binary.
        uploaded: whether it was.
    """

    address: HubAddress
    files: tuple[PublishedFile, ...]
    left_out: tuple[str, ...]
    unread: tuple[str, ...]
    uploaded: bool = False


def publish_run(
    run: str | Path,
    options: PublishOptions,
    announce: Callable[[Publication], None] = lambda publication: None,
    *,
    store: str | Path | None = None,
) -> Publication:
    """Publish a run in one commit; what would be uploaded is announced before anything is.

    Args:
        run: a run, as `open_run` takes it, or its record.json.
        options: what is published, and where.
        announce: is given the publication before it is uploaded, and may raise to stop it.
        store: the store's folder; left out, found as `store_folder` says.

    Raises:
        InputError: there is no such run, it trained nothing, its files do not agree, something in
            it must not leave this machine, or the repository has other files.
        PublishError: the hub refuses or cannot be reached.
    """
    address = options.address()
    if is_hub_address(run) or is_bundle(Path(run)):
        raise InputError(f"{run} is not a run of this store", hint="name a run to publish")
    with open_target(run, store=store) as claim, scratch_folder("publish") as scratch:
        if "adapter" not in copied_folders(claim):
            raise InputError(
                "the run trained no adapter: there is nothing for a model repository",
                hint="`recipe rows RUN --to FILE` writes its data",
            )
        refuse_diverged(claim)
        files, publication = _collect(claim, address, options, Path(scratch))
        announce(publication)
        if options.dry_run:
            return publication
        message = f"{claim.record.recipe}, {claim.record.result_hash}"
        commit = upload(
            address, files, message=message, private=options.private, replace=options.replace
        )
    return replace(publication, address=address.at(commit), uploaded=True)


def _collect(
    claim: Claim, address: HubAddress, options: PublishOptions, scratch: Path
) -> tuple[list[UploadFile], Publication]:
    """Write bundle and lineage, and search every file for what must not leave this machine."""
    adapter = _adapter(claim, scratch)
    run, statement = scratch / "run.bundle", scratch / "lineage.json"
    contents, unread = bundle(
        claim,
        run,
        data=options.data,
        weights=options.weights,
        states=options.states,
        allowed=options.allowed,
    )
    names = {one.path: file_sha256(one.file) for one in adapter}
    statement.write_bytes(lineage(claim, names, (BUNDLE, file_sha256(run))))
    own = [(one.path, one.file) for one in adapter if one.path in OWN]
    check([*own, (LINEAGE, statement)], options.allowed)
    others = [ArtifactFile("adapter", one.path, one.file) for one in adapter if one.path not in OWN]
    unread += check_artifacts(others, options.allowed)
    signed = [UploadFile(path, claim.folder / Path(path).name) for path in (ATTESTATION, SIGNATURE)]
    left_out = [f"{name}, from the bundle" for name in contents.left_out]
    if _base_is_local(claim) and signed[1].file.is_file():
        signed.pop()
        left_out.append(f"{SIGNATURE}: it is of a config that names a folder of this machine")
    files = [*adapter, UploadFile(BUNDLE, run), UploadFile(LINEAGE, statement)]
    files += [one for one in signed if one.file.is_file()]
    listed = tuple(
        PublishedFile(one.path, one.size, file_sha256(one.file), one.meaning) for one in files
    )
    return files, Publication(address, listed, tuple(left_out), tuple(dict.fromkeys(unread)))


def _adapter(claim: Claim, scratch: Path) -> list[UploadFile]:
    """Return the files of the adapter folder as they are published.

    Where the base lies on this machine, the folder's config names a folder of it: the config of the
    artifact is published instead, which names none.
    """
    files = {path.name: path for path in sorted((claim.folder / "adapter").iterdir())}
    artifact = claim.artifact(copied_folders(claim)["adapter"])
    if _base_is_local(claim) and artifact is not None:
        files[CONFIG] = Path(shutil.copyfile(artifact / CONFIG, scratch / CONFIG))
    return [UploadFile(name, path) for name, path in files.items()]


def _base_is_local(claim: Claim) -> bool:
    base = trained_base(claim.plan, claim.record) if claim.plan else None
    return base is not None and base.repo is None
