"""The result of an audit as a statement that its auditor signs, beside the trainer's signature.

A statement's file is text at first, and becomes the envelope that holds it when it is signed; later
signers add their signatures to the same envelope.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import JsonValue

from ...schema.attestation import AuditResult, AuditStatement, Resource
from ...schema.audit import FULL, LEVELS, AuditReport, LevelReport, holds
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
"""The resource that names the auditing program, its version, and what it executed."""
CALIBRATION = "calibration"
"""The resource with the seal of the calibration that decided where bits differ."""
MADE = "make it with `recipe audit RUN --statement FILE`"


def audit_statement(claim: Claim, report: AuditReport) -> AuditStatement:
    """Return the statement of an audit, about the results that the run claims.

    `PASSED` needs every level derived or executed in full. A level that was not asked for, cannot
    be verified, or is a different environment, is a warning.
    """
    tests: dict[str, list[str]] = {"passed": [], "warned": [], "failed": []}
    for level in report.levels:
        tests[_kind(level)].append(_test(level))
    return AuditStatement(
        subject=tuple(subjects(claim)),
        predicate=AuditResult(
            result=stated_result(**tests),
            configuration=(*_configuration(claim), *_method(report)),
            passed_tests=tuple(tests["passed"]),
            warned_tests=tuple(tests["warned"]),
            failed_tests=tuple(tests["failed"]),
        ),
    )


def stated_result(
    passed: Sequence[str], warned: Sequence[str], failed: Sequence[str]
) -> Literal["PASSED", "WARNED", "FAILED"]:
    """Return the result that follows from tests.

    Raises:
        ValueError: they are not the levels of an audit, each once.
    """
    names = [test.partition(":")[0] for test in (*passed, *warned, *failed)]
    if sorted(names) != sorted(LEVELS):
        raise ValueError("the tests are not the levels of an audit, each once")
    if failed:
        return "FAILED"
    full = all(test.endswith(tuple(f"({basis})" for basis in FULL)) for test in passed)
    return "PASSED" if full and not warned else "WARNED"


def _method(report: AuditReport) -> Iterator[Resource]:
    """Yield how it was audited: by which version, what was executed, and by which limits."""
    version = installed(AUDITOR) or "0"
    draws: list[JsonValue] = [
        {
            "step": replay.step,
            "nonce": replay.nonce,
            "nonceFrom": replay.nonce_from,
            "drawn": list(replay.drawn),
            "replayed": [one.segment for one in replay.replayed],
            "segments": replay.segments,
            "oneForgedFound": replay.odds[0].probability,
            "surelyCaught": replay.surely_caught,
        }
        for replay in report.replays
    ]
    yield Resource(
        name=AUDITOR,
        uri=f"pkg:pypi/{AUDITOR}@{version}",
        annotations={
            "mode": report.mode,
            "basis": report.basis,
            "segments": draws,
            "claimed": {what: list(fields) for what, fields in report.claimed.items()},
        },
    )
    if report.calibration is not None:
        yield Resource(name=CALIBRATION, digest=as_digest_set(report.calibration))


def statement_text(statement: AuditStatement) -> str:
    """Return the file of a statement that nobody signed yet."""
    return json.dumps(json.loads(statement.to_bytes()), indent=1, sort_keys=True) + "\n"


def sign_audit(
    claim: Claim, path: Path, key: Path, found: AuditReport
) -> tuple[AuditStatement, str]:
    """Sign the statement of an audit of this very run; return it and the key's id.

    Args:
        claim: the run.
        path: the statement, signed by others or not.
        key: the private key.
        found: an audit of the run's documents and bytes, made just now.

    Raises:
        InputError: the file holds no such statement, it is of another run, or it does not say that
            the run diverged.
    """
    payload, known = _payload(path)
    statement = _parsed(payload, path)
    _hold(claim, statement, path)
    if found.verdict == "diverged" and statement.predicate.result != "FAILED":
        raise InputError(
            f"{path.name} says {statement.predicate.result}, and the run diverges: {found.where}"
        )
    return statement, add_signature(
        path, payload if known else statement.to_bytes(), key, known=known
    )


def verify_audit(
    claim: Claim, path: Path, keys: Iterable[Path], threshold: int | None = None
) -> tuple[AuditStatement, list[str]]:
    """Verify who signed an audit, and that it is of this very run; return it and the keys' ids.

    Raises:
        InputError: the file is not there, or nobody signed it.
        SignatureError: a signature is invalid, or the statement is on another run.
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
    if holds(level):
        return "passed"
    # A different environment alone makes no claim false.
    failed = level.verdict == "diverged" and level.level != "environment"
    return "failed" if failed else "warned"


def _test(level: LevelReport) -> str:
    """Return a level in words: `adapter: identical (executed)`, `data: diverged: step ...`."""
    text = f"{level.level}: {level.verdict}"
    if level.verdict == "diverged" and level.where:
        return f"{text}: {level.where}"
    if level.basis is None or not holds(level):
        return text
    sample = f" {level.sample[0]} of {level.sample[1]}" if level.sample else ""
    return f"{text} ({level.basis}{sample}{', some figures claimed' if level.claimed else ''})"


def _mode_fault(statement: AuditStatement) -> str | None:
    """Return in words how the tests of a statement contradict what it says was executed."""
    found = statement.predicate
    tests = (*found.passed_tests, *found.warned_tests)
    bases = {basis for test in tests for basis in re.findall(r"\((\w+)", test)}
    method = next((one for one in found.configuration if one.name == AUDITOR), None)
    about = (method.annotations or {}) if method else {}
    if about.get("mode") == "bytes" and bases & {"sampled", "executed"}:
        return "an audit of bytes has executed nothing, and a test of it says so"
    if "sampled" in bases and not about.get("segments"):
        return "a test says sampled, and no segments are named"
    return None


def _configuration(claim: Claim) -> Iterator[Resource]:
    """Yield the audited documents: the recipe and its lock, the plan and the record."""
    yield Resource(name="recipe hash", digest=as_digest_set(claim.record.recipe_hash))
    if claim.lock is not None:
        yield Resource(name="lock", digest=as_digest_set(claim.lock.seal()))
    for name in ("plan.json", "record.json"):
        if (claim.folder / name).is_file():
            yield Resource(name=name, digest=as_digest_set(file_sha256(claim.folder / name)))


def _hold(claim: Claim, statement: AuditStatement, path: Path) -> None:
    told: dict[str, Any] = json.loads(statement.to_bytes())
    stated = [
        one
        for one in told["predicate"]["configuration"]
        if one["name"] not in (AUDITOR, CALIBRATION)
    ]
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
    """Parse a statement; its result must be the one that follows from its tests.

    Raises:
        InputError: it is not the statement of an audit, or was edited.
    """
    try:
        statement = AuditStatement.from_json(payload, path.name)
        found = statement.predicate
        derived = stated_result(found.passed_tests, found.warned_tests, found.failed_tests)
    except InputError as error:
        raise InputError(f"{path.name}: {error.message}", hint=MADE) from None
    except ValueError as error:
        raise InputError(f"{path.name} is not an audit statement: {error}", hint=MADE) from None
    told = _mode_fault(statement)
    if told is not None:
        raise InputError(f"{path.name}: {told}: it was edited", hint=MADE)
    if found.result != derived:
        raise InputError(
            f"{path.name} says {found.result}, its tests give {derived}: it was edited", hint=MADE
        )
    return statement
