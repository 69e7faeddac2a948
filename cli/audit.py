"""Derive a run's claims again, level by level, and report the first difference.

By default documents and files are audited: nothing is executed, and neither plugins nor network
are needed. With `--rerun`, every step is executed again from the pinned files, in a temporary
store, and each result is compared with the run's. With `--segments`, a few segments of the training
are replayed, each from the state before it: minutes instead of hours.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from ..project.audit import AuditOptions, audit_claim
from ..project.audit_target import open_target
from ..project.mirrors import open_mirror
from ..project.signatures import statement_of
from ..runtime.store.atomic_io import write_atomically
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
        "--statement",
        metavar="FILE",
        help="write the result as an in-toto statement, ready to sign",
    )
    parser.add_argument(
        "--rerun", action="store_true", help="rerun every step from the pinned files"
    )
    parser.add_argument(
        "--segments", metavar="K", type=int,
        help="replay K segments of the training, drawn by the run's result and a nonce",
    )  # fmt: skip
    parser.add_argument(
        "--nonce", metavar="TEXT",
        help=(
            "with --segments: nonce that selects them, such as dice rolls or text of today's "
            "newspaper (default: from the operating system)"
        ),
    )  # fmt: skip
    parser.add_argument(
        "--data", metavar="DIR", default=".",
        help=(
            "with --rerun or --segments: base folder for relative source paths, if the run's files "
            "are not here"
        ),
    )  # fmt: skip
    parser.add_argument(
        "--scratch", metavar="DIR",
        help="with --rerun or --segments: folder for intermediate files",
    )  # fmt: skip
    parser.add_argument(
        "--calibration", metavar="FILE",
        help=(
            "with --rerun or --segments: tolerances for other hardware, from `recipe calibrate`; "
            "`own` is the calibration in the run or bundle"
        ),
    )  # fmt: skip
    mirror_argument(parser)
    consent_argument(parser)
    parser.add_argument(
        "--strict", action="store_true", help="exit 1 unless every audited level is identical"
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
            write_atomically(Path(options.statement), statement_of(claim, report))
        if options.html:
            write_atomically(Path(options.html), page(report, claim))
    emit(options, report.to_json(), text(report))
    return _status(report, strict=options.strict)


def _status(report: AuditReport, *, strict: bool) -> int:
    if report.verdict == "diverged":
        return 1
    return int(strict and report.verdict != "identical")
