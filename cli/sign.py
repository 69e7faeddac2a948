"""Sign a run with your key: an in-toto statement with SLSA provenance, in its folder.

The run is audited first, and not signed if a claim fails. Several keys may sign, one after another.
With `--statement`, the result of an audit is signed instead: trainer and auditor each sign their
own statement. With `--model-signing`, the adapter and exported models are signed as models, for
users who have the model but not the run.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from ..project.signatures import sign_models, sign_run, sign_statement
from ..schema.errors import InputError
from .arguments import target_argument
from .output import emit, short


def arguments(parser: ArgumentParser) -> None:
    """Add the command's arguments."""
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
    """Sign, and print the key's id."""
    if options.statement and options.model_signing:
        raise InputError("--statement and --model-signing are two things to sign: give one")
    if options.statement:
        return _statement(options)
    if options.model_signing:
        return _models(options)
    signed = sign_run(options.run, Path(options.key), store=options.store)
    document = {"attestation": str(signed.file), "key": signed.key, "result_hash": signed.result}
    text = (
        f"signed {short(signed.result)} with key {signed.key[:16]}…\n"
        f"next: recipe bundle {options.run}"
    )
    emit(options, document, text)
    return 0


def _models(options: Namespace) -> int:
    made = [str(path) for path in sign_models(options.run, Path(options.key), store=options.store)]
    lines = [f"wrote {path}" for path in made]
    lines.append("next: python -m model_signing verify key FOLDER --signature SIG --public_key PUB")
    emit(options, {"signatures": made}, "\n".join(lines))
    return 0


def _statement(options: Namespace) -> int:
    statement, key = Path(options.statement), Path(options.key)
    signed = sign_statement(options.run, statement, key, store=options.store)
    document = {"attestation": str(signed.file), "key": signed.key, "result": signed.result}
    text = f"signed the audit of {options.run}, {signed.result}, with key {signed.key[:16]}…"
    emit(options, document, text)
    return 0
