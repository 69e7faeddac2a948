"""Sign model folders in OpenSSF model-signing's format, to be verified by that project's tool.

The signature is of the files' bytes by name, and says nothing about how they came to be: that is
the attestation's part. It is made offline, with an ECDSA key; nothing is sent anywhere.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ...schema.digest import file_sha256
from ...schema.errors import InputError, WorkError
from ...schema.record import Output
from ..adapter_folder import expected_files
from ..audit.audited_run import Claim
from ..store.runs import exports
from ..store.store import store_error, write_atomically

SUFFIX = ".sig"
KEY = (
    "a private ECDSA key in PEM was expected: "
    "`openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out key.pem`"
)


def sign_models(claim: Claim, key: Path) -> list[Path]:
    """Sign the adapter, and each exported model, in a run's folder; return the signatures' paths.

    Each signature lies beside the folder that it is of: `adapter.sig` beside `adapter/`.

    Raises:
        InputError: the key is of another kind, or a folder is not what the record says.
        WorkError: what signs is not installed.
    """
    models = list(_models(claim))
    if not models:
        raise InputError("the run made no model to sign")
    for folder, output in models:
        _check(claim, folder, output)
    config = _signer(key)
    return [_sign(config, folder) for folder, _ in models]


def _models(claim: Claim) -> Iterator[tuple[Path, Output]]:
    for step, name, output, _ in claim.outputs():
        if step.kind == "runtime" and name == "adapter":
            yield claim.folder / "adapter", output
    for name, output in exports(claim.record).items():
        yield claim.folder / "export" / name, output


def _check(claim: Claim, folder: Path, output: Output) -> None:
    """Refuse a folder with a file less, more or other than follows from the record."""
    if folder.is_symlink() or not folder.is_dir():
        raise InputError(f"the run's folder {folder.name} is not there")
    found = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*")}
    files = {name: path for name, path in found.items() if path.is_symlink() or not path.is_dir()}
    expected = {name: file.sha256 for name, file in output.files.items()}
    if output.kind == "adapter":
        expected = expected_files(claim, output)
    for name in sorted(files.keys() | output.files.keys()):
        path, told = files.get(name), expected.get(name)
        if path is None or told is None:
            has = "has" if path else "lacks"
            raise InputError(f"{folder.name} {has} {name}, the record is otherwise")
        if path.is_symlink() or not path.is_file() or file_sha256(path) != told:
            raise InputError(f"{folder.name}/{name} is not what the record says")


def _sign(config: Any, folder: Path) -> Path:
    target = folder.with_name(folder.name + SUFFIX)
    try:
        with tempfile.TemporaryDirectory(prefix=".", dir=folder.parent) as scratch:
            made = Path(scratch) / target.name
            config.sign(folder, made)
            write_atomically(target, made.read_text(encoding="utf-8"))
    except OSError as error:
        raise store_error(error, f"cannot write {target}") from None
    return target


def _signer(key: Path) -> Any:
    if not os.access(key, os.R_OK) or not key.is_file():
        raise InputError(f"cannot read {key}", hint=KEY)
    try:
        from model_signing import signing
    except ModuleNotFoundError as error:
        raise WorkError(
            f"this format needs the package `{error.name}`, which is not installed",
            hint="install it with `pip install 'khichdi[model-signing]'`",
        ) from None
    try:
        return signing.Config().use_elliptic_key_signer(private_key=key)
    except Exception:  # whatever it makes of another key; what it says could quote the key
        raise InputError(f"{key} cannot be read as a private ECDSA key", hint=KEY) from None
