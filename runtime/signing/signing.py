"""Sign and verify runs with local keys: DSSE envelopes around in-toto statements.

securesystemslib makes and checks the signatures. The signed bytes are verified first, then the run
is compared with them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ...schema.attestation import (
    PAYLOAD,
    BuildDefinition,
    Builder,
    Provenance,
    Resource,
    RunDetails,
    Statement,
)
from ...schema.digest import file_sha256
from ...schema.document import parse_json
from ...schema.errors import InputError, WorkError
from ..audit.audited_run import Claim
from ..audit.documents import first_difference
from ..bundle.privacy_check import refuse

ATTESTATION = "attestation.json"
PRIVATE = "a private key in PEM (`openssl genpkey -algorithm ed25519 -out key.pem`) was expected"
PUBLIC = "a public key in PEM (`openssl pkey -in key.pem -pubout -out key.pub`) was expected"


def statement(claim: Claim) -> Statement:
    """Return the provenance statement of a run, made from its documents and files."""
    record = claim.record
    versions = {one.name: one.version for one in record.plugins}
    return Statement(
        subject=tuple(subjects(claim)),
        predicate=Provenance(
            build_definition=BuildDefinition(
                external_parameters={
                    "recipe": record.recipe,
                    "recipeHash": record.recipe_hash,
                    "settings": list(record.settings),
                },
                internal_parameters={
                    "seed": record.seed,
                    "environment": record.environment,
                    "claimed": {what: list(fields) for what, fields in claim.claims().items()},
                },
                resolved_dependencies=tuple(_dependencies(claim)),
            ),
            run_details=RunDetails(
                builder=Builder(version=versions),
                metadata={"startedOn": record.started},
                byproducts=tuple(_byproducts(claim)),
            ),
        ),
    )


def subjects(claim: Claim) -> Iterator[Resource]:
    """Yield the results: the adapter's files, then the files of every metric and prediction."""
    for step, name, output, _ in claim.outputs():
        if output.kind not in ("adapter", "values"):
            continue
        for path, file in output.files.items():
            yield Resource(
                name=f"{step.name}#{name}/{path}",
                digest=as_digest_set(file.sha256),
                annotations={"content": output.digest},
            )
    # Over every output; a digest of its own kind, so it cannot be mistaken for a file's.
    yield Resource(name="result hash", digest=as_digest_set(claim.record.result_hash))


def _dependencies(claim: Claim) -> Iterator[Resource]:
    for step in claim.plan.steps if claim.plan else ():
        if step.material is None:
            continue
        for file in step.material.files:
            revision = {"revision": step.material.revision} if step.material.revision else None
            yield Resource(
                name=f"{step.name}/{file.path}",
                digest=as_digest_set(file.sha256),
                uri=file.url,
                annotations=dict(revision) if revision else None,
            )
    plugins = (one for one in claim.record.plugins if not one.local)
    for one in claim.record.installed or plugins:
        yield Resource(name=one.name, uri=f"pkg:pypi/{one.name.lower()}@{one.version}")


def _byproducts(claim: Claim) -> Iterator[Resource]:
    names = ["record.json", "plan.json"]
    names += [f"recipe/{file.path}" for file in claim.record.files]
    names += [f"recipe/{claim.record.recipe}.lock"] if claim.lock else []
    names.append("calibration.json")
    for name in names:
        path = claim.folder / name
        if path.is_file():
            yield Resource(name=name, digest=as_digest_set(file_sha256(path)))


def as_digest_set(text: str) -> dict[str, str]:
    """Return a digest as in-toto writes it."""
    algorithm, value = text.split(":")
    return {algorithm: value}


# ---- signing --------------------------------------------------------------------------------


def sign(claim: Claim, key: Path) -> str:
    """Add a signature to a run's attestation, and return the id of its key.

    Raises:
        InputError: the key cannot be used, or what others signed is something else.
    """
    path = claim.folder / ATTESTATION
    return add_signature(path, statement(claim).to_bytes(), key, known=path.is_file())


def add_signature(path: Path, made: bytes, key: Path, *, known: bool) -> str:
    """Sign bytes in an envelope, a new one or one that is `known`, and return the key's id.

    Raises:
        InputError: there is a secret in them, the key cannot be used, or others signed something
            else.
    """
    refuse(path.name, made)
    signer = _signer(key)
    if known:
        envelope = read_envelope(path)
        if envelope.payload != made:
            raise InputError(
                f"{path.name} is signed already, and of something else",
                hint="the run was changed since; see `recipe audit`",
            )
    else:
        envelope = _library("dsse").Envelope(made, PAYLOAD, {})
    envelope.sign(signer)
    from ..store.store import write_atomically

    write_atomically(path, _text(envelope))
    return str(signer.public_key.keyid)


def verify(claim: Claim, keys: Iterable[Path], threshold: int | None = None) -> list[str]:
    """Verify a run's signatures, hold the run to what was signed, and return the keys' ids.

    Raises:
        InputError: there is no attestation, or it or a key cannot be read.
        SignatureError: a signature does not hold, or the run is not what was signed.
    """
    path = claim.folder / ATTESTATION
    payload, accepted = signed_payload(path, keys, threshold)
    try:
        signed = parse_json(payload)  # another reader could take the other of a key given twice
    except (ValueError, RecursionError) as error:
        raise SignatureError(f"{path.name}: what is signed is not a statement: {error}") from None
    hold(signed, json.loads(statement(claim).to_bytes()))
    return accepted


def signed_payload(
    path: Path, keys: Iterable[Path], threshold: int | None
) -> tuple[bytes, list[str]]:
    """Return what an envelope's signatures are of, and the ids of the keys that signed.

    Only the returned bytes may be read afterwards: they alone were verified.

    Raises:
        InputError: there is no envelope, or it or a key cannot be read.
        SignatureError: a signature does not hold, or is of no statement.
    """
    publics = [_public(key) for key in keys]
    envelope = read_envelope(path)
    wanted = len({public.keyid for public in publics}) if threshold is None else threshold
    try:
        accepted = envelope.verify(publics, wanted)
    except Exception as error:  # whatever the library says of a signature that does not hold
        raise SignatureError(
            f"{path.name}: the signatures do not hold: {error}",
            hint="it was changed, or signed with other keys than these",
        ) from None
    if envelope.payload_type != PAYLOAD:
        raise SignatureError(f"{path.name}: {envelope.payload_type!r} is signed, no statement")
    return envelope.payload, sorted(accepted)


def claimed_signers(path: Path) -> list[str]:
    """Return the ids of the keys that an envelope's signatures name; anyone can write an id.

    Raises:
        InputError: there is no envelope, or it cannot be read.
    """
    return sorted(read_envelope(path).signatures)


def hold(told: Any, made: Any) -> None:
    """Compare the signed statement with the one that the run's files give.

    Raises:
        SignatureError: names the first place where they differ.
    """
    found = first_difference(told, made)
    if found:
        raise SignatureError(
            f"the run is not what was signed: {_place(told, found[0])}: "
            f"signed {found[1]}, found {found[2]}"
        )


class SignatureError(InputError):
    """A signature does not hold, or is of something else: a true negative answer."""

    status = 1
    code = "signature"


def read_envelope(path: Path) -> Any:
    """Return the envelope of a file; its one layout is checked, so that no bit of it is free."""
    if path.is_symlink() or not path.is_file():
        raise InputError("the run is not signed", hint="sign it with `recipe sign RUN --key FILE`")
    raw = path.read_bytes()
    try:
        value = parse_json(raw)
        parts = {key for signature in value["signatures"] for key in signature}
        envelope = _library("dsse").Envelope.from_dict(value)
        same = _text(envelope).encode() == raw and parts <= {"keyid", "sig"}
    except WorkError:
        raise
    except Exception:  # whatever the library makes of bytes that anybody may have written
        same = False
    if not same:
        raise SignatureError(
            f"{path.name} is not as it was written", hint="it was changed since it was signed"
        )
    return envelope


def _text(envelope: Any) -> str:
    return json.dumps(envelope.to_dict(), indent=1, sort_keys=True) + "\n"


def _place(told: Mapping[str, Any], path: str) -> str:
    """Return a path into a statement with the name of the resource that it leads to."""
    value: Any = told
    for part in path.replace("[", ".[").split("."):
        try:
            value = value[int(part[1:-1])] if part.startswith("[") else value[part]
        except (KeyError, IndexError, TypeError, ValueError):
            break
        if isinstance(value, dict) and isinstance(value.get("name"), str):
            return f"{path} ({value['name']})"
    return path


# ---- keys -----------------------------------------------------------------------------------


def _signer(path: Path) -> Any:
    serialization = _library("serialization")
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), None)
        _check_kind(key, path)
        return _library("signer").CryptoSigner(key)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}", hint=PRIVATE) from None
    except (ValueError, TypeError):
        # What the library says could quote the key.
        raise InputError(f"{path} cannot be read as a private key", hint=PRIVATE) from None


def _public(path: Path) -> Any:
    serialization = _library("serialization")
    try:
        key = serialization.load_pem_public_key(path.read_bytes())
        _check_kind(key, path)
        return _library("signer").SSlibKey.from_crypto(key)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}", hint=PUBLIC) from None
    except (ValueError, TypeError):
        raise InputError(f"{path} cannot be read as a public key", hint=PUBLIC) from None


def _check_kind(key: Any, path: Path) -> None:
    if not type(key).__name__.startswith(("Ed25519", "ECP", "EllipticCurve", "EC")):
        raise InputError(f"{path} holds no Ed25519 or ECDSA key", hint=PRIVATE)


def _library(part: str) -> Any:
    """Return a part of what signs; it is an extra."""
    modules = {
        "dsse": "securesystemslib.dsse",
        "signer": "securesystemslib.signer",
        "serialization": "cryptography.hazmat.primitives.serialization",
    }
    from importlib import import_module

    try:
        return import_module(modules[part])
    except ModuleNotFoundError as error:
        raise WorkError(
            f"signatures need the package `{error.name}`, which is not installed",
            hint="install it with `pip install 'khichdi[proof]'`",
        ) from None
