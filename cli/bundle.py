"""Write a run to one file: all that an auditor needs, and no data, base weights or secrets.

The same run gives the same bytes.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from ..project.audit_target import is_bundle, open_target
from ..runtime.bundle.write import bundle, states_size
from ..schema.errors import InputError
from .arguments import target_argument
from .output import emit, size

SHOWN = 3
"""Files that were not searched, by name."""


def arguments(parser: ArgumentParser) -> None:
    """Add the command's arguments."""
    target_argument(parser)
    parser.add_argument(
        "-o", "--output", metavar="FILE", help="output file (default: <recipe>.bundle)"
    )
    parser.add_argument("--with-data", action="store_true", help="include sources, rows and packs")
    parser.add_argument(
        "--with-weights", action="store_true", help="include the base model's files"
    )
    parser.add_argument(
        "--without-states", action="store_true",
        help="omit the states that training segments are replayed from",
    )  # fmt: skip
    parser.add_argument(
        "--allow", metavar="WORD", action="append", default=[],
        help="allow a text that looks personal but is not, or all that a step or data set holds, "
        "such as data/lima",
    )  # fmt: skip


def run(options: Namespace) -> int:
    """Write the bundle, and print its contents."""
    if is_bundle(Path(options.run)):
        raise InputError(f"{options.run} is a bundle already", hint="name a run")
    with open_target(options.run, store=options.store) as claim:
        target = Path(options.output or f"{claim.record.recipe}.bundle")
        contents, unread = bundle(
            claim,
            target,
            data=options.with_data,
            weights=options.with_weights,
            states=not options.without_states,
            allowed=tuple(options.allow),
        )
        states = states_size(claim, contents)
    text = (
        f"wrote {target}: {len(contents.files)} files, {size(target.stat().st_size)}"
        f"{f', {size(states)} of them states of the training' if states else ''}\n"
        f"left out: {len(contents.left_out)} artifacts\n"
        f"{_unread(unread)}"
        f"next: recipe audit {target}"
    )
    document = {
        "bundle": str(target), "states_bytes": states, "not_searched": unread, **contents.to_json()
    }  # fmt: skip
    emit(options, document, text)
    return 0


def _unread(unread: list[str]) -> str:
    """Return the line that names binary files which were not searched for secrets."""
    if not unread:
        return ""
    more = f" and {len(unread) - SHOWN} more" if len(unread) > SHOWN else ""
    return f"not searched for secrets: {'; '.join(unread[:SHOWN])}{more}\n"
