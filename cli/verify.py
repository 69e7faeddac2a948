"""Verify the signatures on a run, and that documents, adapter and every file are unchanged.

Every given key must have signed, unless --threshold requires fewer. Without a key, the ids of the
keys that the signatures name are listed, and nothing is verified (exit status 1). With
`--statement`, a signed audit result is verified, and that it audits this very run.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from ..project.signatures import list_signers, verify_run
from ..schema.errors import InputError
from .arguments import target_argument
from .output import emit, short


def arguments(parser: ArgumentParser) -> None:
    """Add the command's arguments."""
    target_argument(parser)
    parser.add_argument(
        "--key", metavar="FILE", action="append", default=[],
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
    """Verify, and print the keys that signed; exit status 1 where the audit failed."""
    if not options.key:
        return _signers(options)
    found = verify_run(
        options.run,
        [Path(key) for key in options.key],
        threshold=options.threshold,
        statement=Path(options.statement) if options.statement else None,
        store=options.store,
    )
    lines = [f"signed with {key[:16]}…: valid" for key in found.keys]
    lines.append(f"result hash  {short(found.result_hash)}, as signed")
    document = {
        "valid": True,
        "keys": found.keys,
        "result_hash": found.result_hash,
        "not_signed": found.not_signed,
    }
    audit = found.audit
    if audit is None:
        lines.append("a signature proves who signed; `recipe audit` checks whether the claims hold")
    else:
        tests = {
            "passed": list(audit.passed_tests),
            "warned": list(audit.warned_tests),
            "failed": list(audit.failed_tests),
        }
        lines.append(f"the audit     {audit.result}")
        lines += [f"  {kind:<7} {test}" for kind, named in tests.items() for test in named]
        document |= {"result": audit.result, "tests": tests}
    if found.not_signed:
        lines.append(f"not signed: {', '.join(found.not_signed)}")
    emit(options, document, "\n".join(lines))
    return int(audit is not None and audit.result == "FAILED")


def _signers(options: Namespace) -> int:
    """List the keys that signatures name. Without a key nothing is known of them: no success."""
    if options.statement or options.threshold is not None:
        raise InputError("nothing can be verified without a key", hint="give --key FILE")
    signers = list_signers(options.run, store=options.store)
    lines = [f"names key {key}" for key in signers]
    lines.append("nothing was verified: get a signer's public key, and give it by --key FILE")
    emit(options, {"valid": None, "signers": signers}, "\n".join(lines))
    return 1
