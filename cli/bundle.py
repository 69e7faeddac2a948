"""Write a run to one file: all that an auditor needs, and no data, base weights or secret.

The same run gives the same bytes.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from ..runtime.bundle.write import bundle
from ..schema.errors import InputError
from .claims import claim_argument, is_bundle, opened_claim
from .output import emit, size


def arguments(parser: ArgumentParser) -> None:
    """Add what this command takes."""
    claim_argument(parser)
    parser.add_argument(
        "-o", "--output", metavar="FILE", help="where to write (default: <recipe>.bundle)"
    )
    parser.add_argument("--with-data", action="store_true", help="sources, rows and packs too")
    parser.add_argument("--with-weights", action="store_true", help="the base model's files too")
    parser.add_argument(
        "--allow", metavar="WORD", action="append", default=[],
        help="let through a word that looks personal and is not",
    )  # fmt: skip


def run(options: Namespace) -> int:
    """Write the bundle, and say what is in it."""
    if is_bundle(Path(options.run)):
        raise InputError(f"{options.run} is a bundle already", hint="name a run")
    with opened_claim(options) as claim:
        target = Path(options.output or f"{claim.record.recipe}.bundle")
        contents = bundle(
            claim,
            target,
            data=options.with_data,
            weights=options.with_weights,
            allowed=tuple(options.allow),
        )
    document = {"bundle": str(target), **contents.to_json()}
    text = (
        f"wrote {target}: {len(contents.files)} files, {size(target.stat().st_size)}\n"
        f"left out: {len(contents.left_out)} artifacts\n"
        f"next: recipe audit {target}"
    )
    emit(options, document, text)
    return 0
