"""An audit's result as a statement that its auditor signs, beside the trainer's on the run.

The file of a statement is text at first, and becomes the envelope that holds it when it is signed;
whoever signs after that adds a signature to the same envelope.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from ...schema.attestation import AuditResult, AuditStatement, Resource
from ...schema.audit import AuditReport, LevelReport
from ...schema.digest import file_sha256
from ...schema.errors import InputError
from ..audit.audited_run import Claim
from ..environment import installed
from .signing import (
    SignatureError,
    add_signature,
    as_digest_set,
    hold,
    read_envelope,
    signed_payload,
    subjects,
)

AUDITOR = "khichdi"
"""The name of the resource that says with which version of the program was audited."""
MADE = "make it with `recipe audit RUN --statement FILE`"


def audit_statement(claim: Claim, report: AuditReport) -> AuditStatement:
    """Return what an audit found, about what the run claims came out.

    `PASSED` needs every level; one that was not asked for, or cannot be verified, or an
    environment that differs, is a warning.
    """
    tests: dict[str, list[str]] = {"passed": [], "warned": [], "failed": []}
    for level in report.levels:
        tests[_kind(level)].append(_test(level))
    result: Literal["PASSED", "WARNED", "FAILED"] = "PASSED"
    if tests["warned"]:
        result = "WARNED"
    if tests["failed"]:
        result = "FAILED"
    version = installed(AUDITOR) or "0"
    auditor = Resource(name=AUDITOR, uri=f"pkg:pypi/{AUDITOR}@{version}")
    return AuditStatement(
        subject=tuple(subjects(claim)),
        predicate=AuditResult(
            result=result,
            configuration=(*_configuration(claim), auditor),
            passed_tests=tuple(tests["passed"]),
            warned_tests=tuple(tests["warned"]),
            failed_tests=tuple(tests["failed"]),
        ),
    )


def statement_text(statement: AuditStatement) -> str:
    """Return the file of a statement that nobody signed yet."""
    return json.dumps(json.loads(statement.to_bytes()), indent=1, sort_keys=True) + "\n"


def sign_audit(claim: Claim, path: Path, key: Path) -> tuple[AuditStatement, str]:
    """Sign the statement of an audit of this very run; return it and the key's id.

    Raises:
        InputError: the file holds no such statement, or it is of another run.
    """
    payload, known = _payload(path)
    statement = _parsed(payload, path)
    _hold(claim, statement, path)
    return statement, add_signature(
        path, payload if known else statement.to_bytes(), key, known=known
    )


def verify_audit(
    claim: Claim, path: Path, keys: Iterable[Path], threshold: int | None = None
) -> tuple[AuditStatement, list[str]]:
    """Verify who signed an audit, and that it is of this very run; return it and the keys' ids.

    Raises:
        InputError: the file is not there, or nobody signed it.
        SignatureError: a signature does not hold, or what is signed is of another run.
    """
    if not _payload(path)[1]:
        raise InputError(
            f"{path.name} is not signed", hint="sign it with `recipe sign RUN --statement FILE`"
        )
    payload, accepted = signed_payload(path, keys, threshold)
    statement = _parsed(payload, path)
    _hold(claim, statement, path)
    return statement, accepted


def _kind(level: LevelReport) -> str:
    if level.verdict in ("identical", "equivalent"):
        return "passed"
    # Another environment alone makes no claim false.
    failed = level.verdict == "diverged" and level.level != "environment"
    return "failed" if failed else "warned"


def _test(level: LevelReport) -> str:
    """Return a level in words: `adapter: identical (executed)`, `data: diverged: step ...`."""
    basis = f" ({level.basis})" if level.basis and level.verdict == "identical" else ""
    where = f": {level.where}" if level.verdict == "diverged" and level.where else ""
    return f"{level.level}: {level.verdict}{basis}{where}"


def _configuration(claim: Claim) -> Iterator[Resource]:
    """Yield what was audited: what was asked for, and the documents that say so."""
    yield Resource(name="recipe hash", digest=as_digest_set(claim.record.recipe_hash))
    if claim.lock is not None:
        yield Resource(name="lock", digest=as_digest_set(claim.lock.seal()))
    for name in ("plan.json", "record.json"):
        if (claim.folder / name).is_file():
            yield Resource(name=name, digest=as_digest_set(file_sha256(claim.folder / name)))


def _hold(claim: Claim, statement: AuditStatement, path: Path) -> None:
    told: dict[str, Any] = json.loads(statement.to_bytes())
    stated = [one for one in told["predicate"]["configuration"] if one["name"] != AUDITOR]
    made = [Resource.model_dump(one, exclude_none=True) for one in _configuration(claim)]
    came = [Resource.model_dump(one, exclude_none=True) for one in subjects(claim)]
    try:
        hold(
            {"configuration": stated, "subject": told["subject"]},
            {"configuration": made, "subject": came},
        )
    except SignatureError as error:
        raise SignatureError(f"{path.name} is of another run: {error.message}") from None


def _payload(path: Path) -> tuple[bytes, bool]:
    """Return the statement of a file, and whether it is in an envelope already."""
    if path.is_symlink() or not path.is_file():
        raise InputError(f"there is no file {path}", hint=MADE)
    raw = path.read_bytes()
    try:
        signed = "payload" in json.loads(raw)
    except (ValueError, TypeError, RecursionError):
        signed = False
    return (read_envelope(path).payload, True) if signed else (raw, False)


def _parsed(payload: bytes, path: Path) -> AuditStatement:
    try:
        return AuditStatement.model_validate_json(payload)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "the document"
        raise InputError(
            f"{path.name} is not an audit statement: {place}: {first['msg']}", hint=MADE
        ) from None
