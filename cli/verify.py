"""Verify who signed a run, and that it is what was signed: documents, adapter and every file.

Every key that is given must have signed, unless --threshold asks for fewer.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from ..runtime.attest import SignatureError, verify
from ..runtime.audit.documents import Lowered
from ..runtime.audit.ladder import audit
from ..schema.errors import InputError
from .claims import claim_argument, opened_claim
from .output import emit, short


def arguments(parser: ArgumentParser) -> None:
    """Add what this command takes."""
    claim_argument(parser)
    parser.add_argument(
        "--key", metavar="FILE", action="append", required=True,
        help="a signer's public key in PEM; may be given again",
    )  # fmt: skip
    parser.add_argument("--threshold", metavar="N", type=int, help="so many of the keys are enough")


def run(options: Namespace) -> int:
    """Verify, and say which keys signed; exit status 1 where it does not hold."""
    if options.threshold is not None and not 0 < options.threshold <= len(options.key):
        raise InputError(f"--threshold is from 1 to {len(options.key)}, the number of keys")
    with opened_claim(options) as claim:
        keys = verify(claim, [Path(key) for key in options.key], options.threshold)
        report = audit(claim, lambda claim: Lowered(why_not="not compiled to verify"))
        if report.verdict == "diverged":
            raise SignatureError(f"the signatures hold, and the run does not: {report.where}")
    document = {"valid": True, "keys": keys, "result_hash": claim.record.result_hash}
    lines = [f"signed with {key[:16]}…: valid" for key in keys]
    lines.append(f"result hash  {short(claim.record.result_hash)}, as signed")
    lines.append("a signature says who stands for it; `recipe audit` says whether it holds")
    emit(options, document, "\n".join(lines))
    return 0
