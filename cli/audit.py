"""Derive again what a run claims, level by level, and name the first thing that differs.

Without more, documents and bytes are audited: nothing is executed, and neither plugins nor network
are needed. With `--rerun`, every step is executed again from the pinned bytes, in a store of its
own, and each thing that comes out is compared with what the run says came out. With `--segments`,
a few parts of the training are, each from the state before it: minutes for what took hours.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from ..project.audit import AuditOptions, audit_claim
from ..project.audit_target import open_target
from ..project.mirrors import open_mirror
from ..runtime.signing.audit_statement import audit_statement, statement_text
from ..runtime.store.store import write_atomically
from ..schema.audit import LEVELS, AuditReport
from .arguments import consent_argument, mirror_argument, target_argument
from .audit_page import page
from .audit_text import text
from .display import Display
from .output import emit


def arguments(parser: ArgumentParser) -> None:
    """Add what this command takes."""
    target_argument(parser)
    parser.add_argument("--level", choices=LEVELS, help="go no further than this level")
    parser.add_argument("--html", metavar="FILE", help="write the report as one readable page")
    parser.add_argument(
        "--statement", metavar="FILE", help="write the result as an in-toto statement, to be signed"
    )
    parser.add_argument(
        "--rerun", action="store_true", help="execute every step again from the pinned bytes"
    )
    parser.add_argument(
        "--segments", metavar="K", type=int,
        help="execute K segments of the training again, drawn by the run's result and a nonce",
    )  # fmt: skip
    parser.add_argument(
        "--nonce", metavar="TEXT",
        help="with --segments: what decides which ones, such as dice or a page of today's paper "
        "(default: drawn by the operating system)",
    )  # fmt: skip
    parser.add_argument(
        "--data", metavar="DIR", default=".",
        help="with --rerun or --segments: where relative paths of sources start, if the run's "
        "bytes are not here",
    )  # fmt: skip
    parser.add_argument(
        "--scratch", metavar="DIR",
        help="with --rerun or --segments: where to put what it makes meanwhile",
    )  # fmt: skip
    parser.add_argument(
        "--calibration", metavar="FILE",
        help="with --rerun or --segments: limits for other hardware, from `recipe calibrate`; "
        "`own` is the one that the run or bundle brings",
    )  # fmt: skip
    mirror_argument(parser)
    consent_argument(parser)
    parser.add_argument(
        "--strict", action="store_true", help="exit 1 unless every level asked for is identical"
    )


def run(options: Namespace) -> int:
    """Audit, and print the levels as a ladder; exit status 1 where one diverged."""
    chosen = AuditOptions(
        options.level,
        options.rerun,
        options.segments,
        options.nonce,
        options.data,
        options.scratch,
        options.calibration,
        options.allow_local_plugins,
    )
    chosen.check()
    with open_target(options.run, store=options.store, scratch=options.scratch) as claim:
        mirror = open_mirror(options.mirror) if chosen.executes else None
        report = audit_claim(claim, chosen, Display(options), mirror)
        if options.statement:
            write_atomically(
                Path(options.statement), statement_text(audit_statement(claim, report))
            )
    if options.html:
        write_atomically(Path(options.html), page(report))
    emit(options, report.to_json(), text(report))
    return _status(report, strict=options.strict)


def _status(report: AuditReport, *, strict: bool) -> int:
    if report.verdict == "diverged":
        return 1
    return int(strict and report.verdict != "identical")
