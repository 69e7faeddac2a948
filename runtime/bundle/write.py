"""Write a run to one file, a bundle: only files that a list allows go in."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from ...schema.bundle import CONTENTS, Contents, clash
from ...schema.digest import file_sha256
from ...schema.errors import InputError, StoreError
from ...schema.file_names import inside
from ...schema.record import FileDigest, Output, RecordedStep
from ..audit.audited_run import Claim, base_steps
from ..store.store import store_error
from .data_check import ArtifactFile, check_artifacts
from .privacy_check import check
from .tar_format import laid_out

DOCUMENTS = ("record.json", "plan.json", "attestation.json", "calibration.json", "adapter.sig")
ALWAYS = ("values", "adapter")
"""Kinds of artifacts that hold no data and no base weights: numbers, predictions, the adapter."""


STATES = "states"
"""The kind of the states that segments of a training start from: no data either, but large."""


class Written(NamedTuple):
    """A bundle that was written: its contents, and files that nobody looked through."""

    contents: Contents
    unread: list[str]


def bundle(
    claim: Claim, target: Path, *, data: bool = False, weights: bool = False,
    states: bool = True, allowed: tuple[str, ...] = (),
) -> Written:  # fmt: skip
    """Write a run's bundle, and return what is in it.

    `data` includes sources, rows and packs, `weights` the base model's files; without `states`
    no segment of the training can be executed again from the bundle.

    Raises:
        InputError: something in it must not leave this machine, or differs from the record.
    """
    documents = dict(_documents(claim))
    artifacts, left_out = _artifacts(claim, data=data, weights=weights, states=states)
    files = {**documents, **{name: one.path for name, one in artifacts.items()}}
    linked = next((name for name, path in files.items() if _linked(path, claim.folder)), None)
    if linked is not None:
        raise InputError(
            f"{linked} is a link, or not a plain file: a bundle takes a run's own bytes"
        )
    odd = next((name for name in files if not inside(name)), None) or clash(list(files))
    if odd is not None:
        raise InputError(
            f"{odd!r} is not allowed in a bundle: not every system can hold a file of that name"
        )
    check(documents.items(), allowed)
    unread = check_artifacts(artifacts.values(), allowed)
    contents = Contents(
        recipe=claim.record.recipe,
        recipe_hash=claim.record.recipe_hash,
        result_hash=claim.record.result_hash,
        files={
            name: FileDigest(size=path.stat().st_size, sha256=file_sha256(path))
            for name, path in sorted(files.items())
        },
        left_out=tuple(left_out),
    )
    _write(target, contents, files)
    return Written(contents, unread)


def states_size(claim: Claim, contents: Contents) -> int:
    """Return how many bytes of a bundle are states of the training."""
    outputs = [output for _, _, output, _ in claim.outputs() if output.kind == STATES]
    folders = {f"artifacts/{output.manifest.removeprefix('sha256:')}/" for output in outputs}
    return sum(
        file.size
        for path, file in contents.files.items()
        if any(path.startswith(folder) for folder in folders)
    )


def _documents(claim: Claim) -> Iterator[tuple[str, Path]]:
    for name in DOCUMENTS:
        if (claim.folder / name).is_file():
            yield name, claim.folder / name
    if claim.lock is not None:
        name = f"recipe/{claim.record.recipe}.lock"
        yield name, claim.folder / name
    for file in claim.record.files:
        yield f"recipe/{file.path}", claim.folder / "recipe" / file.path


def _artifacts(
    claim: Claim, *, data: bool, weights: bool, states: bool
) -> tuple[dict[str, ArtifactFile], list[str]]:
    """Return the files of the artifacts that go in, and the names of those that stay out."""
    bases = base_steps(claim.plan)
    files: dict[str, ArtifactFile] = {}
    left_out = []
    for step, name, output, _ in claim.outputs():
        if output.kind == STATES:
            wanted = states
        else:
            wanted = output.kind in ALWAYS or (weights if step.name in bases else data)
        folder = claim.artifact(output) if wanted else None
        if folder is None:
            left_out.append(f"{step.name}#{name}")
            continue
        place = f"artifacts/{output.manifest.removeprefix('sha256:')}"
        for path, file in output.files.items():
            found = _as_recorded(step, name, output, folder / path, file.sha256)
            named = ArtifactFile(f"{step.name}#{name}", path, found)
            files.setdefault(f"{place}/{path}", named)
    return files, left_out


def _linked(path: Path, folder: Path) -> bool:
    """Return whether a path is, or in the run's folder lies behind, anything but a plain file."""
    above = [one for one in path.parents if one != folder and one.is_relative_to(folder)]
    return path.is_symlink() or not path.is_file() or any(one.is_symlink() for one in above)


def _as_recorded(step: RecordedStep, name: str, output: Output, path: Path, sha256: str) -> Path:
    if path.is_symlink() or not path.is_file() or file_sha256(path) != sha256:
        raise StoreError(
            f"the store's copy of {step.name}#{name} is damaged: {path.name}",
            hint="see `recipe store verify`; run the recipe again to recompute it",
        )
    return path


def _write(target: Path, contents: Contents, files: dict[str, Path]) -> None:
    """Write beside the target and move it there: a bundle is there whole or not at all."""
    if target.is_dir():
        raise InputError(f"{target} is a folder, the name of a file was expected")
    members: list[tuple[str, Path | bytes]] = [(CONTENTS, contents.to_text().encode())]
    members += [(name, files[name]) for name in contents.files]
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=".", dir=target.parent)
        try:
            with os.fdopen(handle, "wb") as out:
                out.writelines(laid_out(members))
                out.flush()
                os.fsync(out.fileno())
            os.chmod(name, 0o644)
            os.replace(name, target)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise store_error(error, f"cannot write {target}") from None
