"""Verify the signatures on a run, and that documents, adapter and every file are unchanged.

Every given key must have signed, unless --threshold requires fewer. With `--statement`, a signed
audit result is verified, and that it audits this very run.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Any

from ..project.audit_target import open_target
from ..runtime.audit.audit import audit
from ..runtime.audit.audited_run import UNSIGNED, Claim
from ..runtime.audit.documents import Lowered
from ..runtime.signing.signing import SignatureError, verify
from ..schema.errors import InputError
from .arguments import target_argument
from .output import emit, short


def arguments(parser: ArgumentParser) -> None:
    """Add what this command takes."""
    target_argument(parser)
    parser.add_argument(
        "--key", metavar="FILE", action="append", required=True,
        help="a signer's public key in PEM; may be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--threshold",
        metavar="N",
        type=int,
        help="number of signatures required (default: one per key)",
    )
    parser.add_argument(
        "--statement", metavar="FILE", help="verify this signed audit result of the run"
    )


def run(options: Namespace) -> int:
    """Verify, and say which keys signed; exit status 1 where it does not hold."""
    if options.threshold is not None and not 0 < options.threshold <= len(options.key):
        raise InputError(f"--threshold is from 1 to {len(options.key)}, the number of keys")
    with open_target(options.run, store=options.store) as claim:
        keys, more, lines = _verified(claim, options)
        report = audit(claim, lambda claim: Lowered(why_not="not compiled to verify"))
        if report.verdict == "diverged" and more.get("result") != "FAILED":
            raise SignatureError(f"the signatures hold, and the run does not: {report.where}")
        unsigned = [name for name in UNSIGNED if (claim.folder / name).is_file()]
    if unsigned:
        lines.append(f"not signed: {', '.join(unsigned)}")
    document = {
        "valid": True,
        "keys": keys,
        "result_hash": claim.record.result_hash,
        "not_signed": unsigned,
        **more,
    }
    lines = [*(f"signed with {key[:16]}…: valid" for key in keys), *lines]
    emit(options, document, "\n".join(lines))
    return int(more.get("result") == "FAILED")


def _verified(claim: Claim, options: Namespace) -> tuple[list[str], dict[str, Any], list[str]]:
    """Return the keys that signed, and what is said of it beside them."""
    publics = [Path(key) for key in options.key]
    hashed = f"result hash  {short(claim.record.result_hash)}, as signed"
    if not options.statement:
        keys = verify(claim, publics, options.threshold)
        told = "a signature proves who signed; `recipe audit` checks whether the claims hold"
        return keys, {}, [hashed, told]
    from ..runtime.signing.audit_statement import verify_audit

    statement, keys = verify_audit(claim, Path(options.statement), publics, options.threshold)
    found = statement.predicate
    tests = {
        "passed": list(found.passed_tests),
        "warned": list(found.warned_tests),
        "failed": list(found.failed_tests),
    }
    lines = [hashed, f"the audit     {found.result}"]
    lines += [f"  {kind:<7} {test}" for kind, named in tests.items() for test in named]
    return keys, {"result": found.result, "tests": tests}, lines
