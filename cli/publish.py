"""Publish a run to the Hugging Face hub: adapter, model card, bundle, signatures and lineage.

What is uploaded is listed first, and searched for secrets and for folders of this machine; it is
uploaded in one commit. `recipe audit hf://OWNER/NAME` then needs nothing but the hub.
"""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from dataclasses import asdict
from typing import Any

from ..project.publishing import Publication, PublishOptions, publish_run
from ..schema.printable import printable
from .arguments import contents_arguments, run_argument
from .output import columns, emit, size

SHOWN = 5
"""Things left out of the bundle, by name."""


def arguments(parser: ArgumentParser) -> None:
    """Add the command's arguments."""
    run_argument(parser)
    parser.add_argument(
        "--to", metavar="hf://OWNER/NAME", required=True, help="the repository; created if need be"
    )
    parser.add_argument(
        "--branch", "--revision", metavar="BRANCH", dest="branch",
        help="the branch to commit to (default: main); created if need be",
    )  # fmt: skip
    parser.add_argument(
        "--private", action="store_true", help="create the repository as a private one"
    )
    parser.add_argument(
        "--replace", action="store_true", help="remove files of the branch that are not of this run"
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="list what would be uploaded, and upload nothing"
    )
    contents_arguments(parser)


def run(options: Namespace) -> int:
    """List what is uploaded, upload it, and print the commit and the command that audits it."""
    chosen = PublishOptions(
        options.to,
        options.branch,
        options.private,
        options.replace,
        options.with_data,
        options.with_weights,
        not options.without_states,
        tuple(options.allow),
        options.dry_run,
    )

    def announce(publication: Publication) -> None:
        if not (options.json or options.dry_run):
            print(printable(_listing(publication)), file=sys.stderr, flush=True)

    done = publish_run(options.run, chosen, announce, store=options.store)
    emit(options, _document(done), _text(done))
    return 0


def _document(done: Publication) -> dict[str, Any]:
    return {
        "uploaded": done.uploaded,
        "address": str(done.address),
        "repo": done.address.repo,
        "revision": done.address.wanted,
        "files": [asdict(one) for one in done.files],
        "left_out": list(done.left_out),
        "not_searched": list(done.unread),
    }


def _text(done: Publication) -> str:
    if not done.uploaded:
        return f"{_listing(done)}\nnothing was uploaded (--dry-run)"
    return (
        f"published {done.address}\n"
        f"next: recipe audit {done.address}\n"
        "who signed it: `recipe verify` with the same address, and --key PUB"
    )


def _listing(done: Publication) -> str:
    total = size(sum(one.size for one in done.files))
    rows = [(one.path, size(one.size), one.meaning) for one in done.files]
    lines = [f"{len(done.files)} files, {total}, to {done.address}:", columns(rows)]
    for label, texts in (("left out", done.left_out), ("not searched for secrets", done.unread)):
        if texts:
            more = f" and {len(texts) - SHOWN} more" if len(texts) > SHOWN else ""
            lines.append(f"{label}: {'; '.join(texts[:SHOWN])}{more}")
    return "\n".join(lines)
