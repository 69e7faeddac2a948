"""Sign a run with your key: an in-toto statement with SLSA provenance, in its folder.

The run is audited first, and not signed if a claim fails. Several keys may sign, one after another.
With `--statement`, the result of an audit is signed instead: trainer and auditor each sign their
own statement. With `--model-signing`, the adapter and exported models are signed as models, for
users who have the model but not the run.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from ..project.audit_target import is_bundle, open_target
from ..runtime.audit.audit import audit
from ..runtime.audit.audited_run import Claim
from ..runtime.audit.documents import Lowered
from ..runtime.signing.signing import ATTESTATION, sign
from ..schema.errors import InputError
from .arguments import target_argument
from .output import emit, short


def arguments(parser: ArgumentParser) -> None:
    """Add what this command takes."""
    target_argument(parser)
    parser.add_argument(
        "--key", metavar="FILE", required=True, help="a private key in PEM, Ed25519 or ECDSA"
    )
    parser.add_argument(
        "--statement", metavar="FILE",
        help=(
            "sign the statement that `recipe audit RUN --statement FILE` wrote; FILE becomes its "
            "envelope"
        ),
    )  # fmt: skip
    parser.add_argument(
        "--model-signing", action="store_true",
        help="sign the adapter and exported models in OpenSSF model-signing's format instead",
    )  # fmt: skip


def run(options: Namespace) -> int:
    """Sign, and say with which key."""
    if options.statement and options.model_signing:
        raise InputError("--statement and --model-signing are two things to sign: give one")
    if options.statement:
        return _sign_audit(options)
    if is_bundle(Path(options.run)):
        raise InputError("a bundle is not changed any more", hint="sign the run, then bundle it")
    with open_target(options.run, store=options.store) as claim:
        if options.model_signing:
            return _sign_models(claim, options)
        report = audit(claim, lambda claim: Lowered(why_not="not compiled to sign"))
        if report.verdict == "diverged":
            raise InputError(
                f"the run does not hold: {report.where}", hint="see `recipe audit` for the rest"
            )
        keyid = sign(claim, Path(options.key))
        path = claim.folder / ATTESTATION
    document = {"attestation": str(path), "key": keyid, "result_hash": claim.record.result_hash}
    text = (
        f"signed {short(claim.record.result_hash)} with key {keyid[:16]}…\n"
        f"next: recipe bundle {options.run}"
    )
    emit(options, document, text)
    return 0


def _sign_models(claim: Claim, options: Namespace) -> int:
    from ..runtime.signing.model_signing import sign_models

    made = [str(path) for path in sign_models(claim, Path(options.key))]
    lines = [f"wrote {path}" for path in made]
    lines.append("next: python -m model_signing verify key FOLDER --signature SIG --public_key PUB")
    emit(options, {"signatures": made}, "\n".join(lines))
    return 0


def _sign_audit(options: Namespace) -> int:
    from ..runtime.signing.audit_statement import sign_audit

    path = Path(options.statement)
    with open_target(options.run, store=options.store) as claim:
        report = audit(claim, lambda claim: Lowered(why_not="not compiled to sign"))
        statement, keyid = sign_audit(claim, path, Path(options.key), report)
    found = statement.predicate.result
    document = {"attestation": str(path), "key": keyid, "result": found}
    emit(options, document, f"signed the audit of {options.run}, {found}, with key {keyid[:16]}…")
    return 0
