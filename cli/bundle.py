"""Write a run to one file: everything an auditor needs, and no data, base weights or secrets.

The same run gives the same bytes.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from ..project.bundling import bundle_run
from .arguments import contents_arguments, target_argument
from .output import emit, size

SHOWN = 3
"""Files that were not searched, by name."""


def arguments(parser: ArgumentParser) -> None:
    """Add the command's arguments."""
    target_argument(parser)
    parser.add_argument(
        "-o", "--output", metavar="FILE", help="output file (default: <recipe>.bundle)"
    )
    contents_arguments(parser)


def run(options: Namespace) -> int:
    """Write the bundle, and print its contents."""
    made = bundle_run(
        options.run,
        options.output,
        data=options.with_data,
        weights=options.with_weights,
        states=not options.without_states,
        allowed=tuple(options.allow),
        store=options.store,
    )
    states = f", {size(made.states)} of them states of the training" if made.states else ""
    text = (
        f"wrote {made.file}: {len(made.contents.files)} files, "
        f"{size(made.file.stat().st_size)}{states}\n"
        f"left out: {len(made.contents.left_out)} artifacts\n"
        f"{_unread(made.unread)}"
        f"next: recipe audit {made.file}"
    )
    document = {
        "bundle": str(made.file),
        "states_bytes": made.states,
        "not_searched": made.unread,
        **made.contents.to_json(),
    }
    emit(options, document, text)
    return 0


def _unread(unread: list[str]) -> str:
    """Return the line that names binary files which were not searched for secrets."""
    if not unread:
        return ""
    more = f" and {len(unread) - SHOWN} more" if len(unread) > SHOWN else ""
    return f"not searched for secrets: {'; '.join(unread[:SHOWN])}{more}\n"
