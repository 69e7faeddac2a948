"""Sign a run, its models or a statement on its audit, and verify signatures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..runtime.audit.audit import audit
from ..runtime.audit.audited_run import UNSIGNED, Claim
from ..runtime.audit.documents import Lowered
from ..runtime.hub.address import is_hub_address
from ..runtime.signing.signing import (
    ATTESTATION,
    SignatureError,
    claimed_signers,
    sign,
    verify,
)
from ..schema.audit import AuditReport
from ..schema.errors import InputError
from .audit_target import is_bundle, open_target

if TYPE_CHECKING:
    from ..schema.attestation import AuditResult


@dataclass(frozen=True)
class Signed:
    """A signature: the file it was written to, the id of its key, and what it confirms.

    `result` is the result hash of a signed run, or the result of a signed audit.
    """

    file: Path
    key: str
    result: str


@dataclass(frozen=True)
class Verified:
    """Valid signatures of a run: the ids of their keys, and files that they do not cover.

    `audit` is the signed audit result that was verified, if any.
    """

    keys: list[str]
    result_hash: str
    not_signed: list[str]
    audit: AuditResult | None


def sign_run(run: str, key: Path, *, store: str | Path | None = None) -> Signed:
    """Audit the documents and files of a run, and sign it.

    Raises:
        InputError: there is no such run, the key cannot sign, or the audit diverges.
    """
    _refuse_bundle(run)
    with open_target(run, store=store) as claim:
        refuse_diverged(claim)
        key_id = sign(claim, key)
        return Signed(claim.folder / ATTESTATION, key_id, claim.record.result_hash)


def sign_models(run: str, key: Path, *, store: str | Path | None = None) -> list[Path]:
    """Sign the adapter and exported models of a run in OpenSSF's format; return the signatures.

    Raises:
        InputError: there is no such run, or the key cannot sign.
    """
    from ..runtime.signing.model_signing import sign_models

    _refuse_bundle(run)
    with open_target(run, store=store) as claim:
        return list(sign_models(claim, key))


def statement_of(claim: Claim, report: AuditReport) -> str:
    """Return the unsigned in-toto statement on an audit, as text."""
    from ..runtime.signing.audit_statement import audit_statement, statement_text

    return statement_text(audit_statement(claim, report))


def sign_statement(
    run: str, statement: Path, key: Path, *, store: str | Path | None = None
) -> Signed:
    """Sign the statement on the audit of a run or bundle; the file becomes its envelope.

    Raises:
        InputError: the file is not such a statement, was edited, or is on another run.
    """
    from ..runtime.signing.audit_statement import sign_audit

    with open_target(run, store=store) as claim:
        signed, key_id = sign_audit(claim, statement, key, _audit(claim))
    return Signed(statement, key_id, signed.predicate.result)


def list_signers(run: str, *, store: str | Path | None = None) -> list[str]:
    """Return the ids of the keys that a run's signatures name; nothing is verified.

    Raises:
        InputError: there is no such run, or it is not signed.
    """
    with open_target(run, store=store) as claim:
        return claimed_signers(claim.folder / ATTESTATION)


def verify_run(
    run: str,
    keys: Sequence[Path],
    *,
    threshold: int | None = None,
    statement: Path | None = None,
    store: str | Path | None = None,
) -> Verified:
    """Verify the signatures of a run or bundle, or of a statement on its audit.

    Args:
        run: a run or bundle, as `open_target` takes it.
        keys: the public keys of the signers.
        threshold: how many of them must have signed; left out, all.
        statement: the signed statement to verify instead of the run's own signatures.
        store: the store's folder; left out, found as `store_folder` says.

    Raises:
        InputError: there is no such run, or the threshold cannot be reached.
        SignatureError: a signature is missing or invalid, or what was signed has changed.
    """
    if threshold is not None and not 0 < threshold <= len(keys):
        raise InputError(f"--threshold is from 1 to {len(keys)}, the number of keys")
    with open_target(run, store=store) as claim:
        found: AuditResult | None = None
        if statement is None:
            signers = verify(claim, keys, threshold)
        else:
            from ..runtime.signing.audit_statement import verify_audit

            signed, signers = verify_audit(claim, statement, keys, threshold)
            found = signed.predicate
        report = _audit(claim)
        if report.verdict == "diverged" and (found is None or found.result != "FAILED"):
            raise SignatureError(f"the signatures hold, and the run does not: {report.where}")
        unsigned = [name for name in UNSIGNED if (claim.folder / name).is_file()]
        return Verified(signers, claim.record.result_hash, unsigned, found)


def refuse_diverged(claim: Claim) -> None:
    """Refuse a run whose documents and files do not agree.

    Raises:
        InputError: names the first place where they do not.
    """
    report = _audit(claim)
    if report.verdict == "diverged":
        raise InputError(
            f"the run does not hold: {report.where}", hint="see `recipe audit` for the rest"
        )


def _audit(claim: Claim) -> AuditReport:
    """Compare documents and files; the recipe is not compiled again."""
    return audit(claim, lambda claim: Lowered(why_not="not compiled for a signature"))


def _refuse_bundle(run: str) -> None:
    if is_hub_address(run):
        raise InputError("what is published is not changed", hint="sign the run, then publish it")
    if is_bundle(Path(run)):
        raise InputError("a bundle is not changed any more", hint="sign the run, then bundle it")
