"""Write a run as one HTML page, which loads nothing from elsewhere; or compare two on one page.

The page has the flow of rows with the reasons of drops, lengths, packing, the curves of training,
cost beside its estimate, metrics before and after, predictions and dropped rows to search, the
recipe with its origins, and the hashes with how to check them.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from ..project.report import compare_runs_page, report_run
from ..runtime.store.atomic_io import write_atomically
from ..schema.errors import InputError
from .arguments import run_argument
from .output import emit, size


def arguments(parser: ArgumentParser) -> None:
    """Add the command's arguments."""
    run_argument(parser)
    parser.add_argument("other", nargs="?", metavar="RUN", help="compare with this run")
    parser.add_argument("-o", "--output", metavar="FILE", help="the page (RUN.report.html)")
    parser.add_argument(
        "--audit", metavar="FILE", help="show this audit too, as `recipe audit --json` prints it"
    )


def run(options: Namespace) -> int:
    """Write the page."""
    if options.other is None:
        past, text = report_run(options.run, audit=options.audit, store=options.store)
        runs, name = [past.name], past.name
    else:
        if options.audit is not None:
            raise InputError("--audit is of one run", hint="leave it out, or name one run")
        one, other, text = compare_runs_page(options.run, options.other, store=options.store)
        runs, name = [one.name, other.name], f"{one.name}-and-{other.name}"
    path = Path(options.output or f"{name}.report.html")
    write_atomically(path, text)
    length = len(text.encode())
    words = f"wrote {path}, {size(length)}\nopen it in a browser: it needs no network"
    emit(options, {"runs": runs, "report": str(path), "bytes": length}, words)
    return 0
