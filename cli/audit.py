"""Derive again what a run claims, level by level, and name the first thing that differs.

Without more, documents and bytes are audited: nothing is executed, and neither plugins nor network
are needed. With `--rerun`, every step is executed again from the pinned bytes, in a store of its
own, and each thing that comes out is compared with what the run says came out. With `--segments`,
a few parts of the training are, each from the state before it: minutes for what took hours.
"""

from __future__ import annotations

import contextlib
import secrets
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..plugins.registry import Registry, load_registry
from ..runtime.audit.audit import audit, audit_again, audit_segments
from ..runtime.audit.audited_run import Claim
from ..runtime.audit.documents import Lowered
from ..runtime.audit.figures import by_plugins
from ..runtime.signing.audit_statement import audit_statement, statement_text
from ..runtime.store.store import Store, write_atomically
from ..runtime.tempdirs import scratch_folder
from ..schema.audit import LEVELS, AuditReport
from ..schema.errors import InputError, RegistryError
from ..schema.lock import Distribution
from ..schema.record import RecordedStep
from ..schema.secrets import masked
from .audit_page import page
from .audit_text import text
from .claims import claim_argument, opened_claim
from .display import Display
from .lowered import lower_again
from .mirrors import mirror_argument, open_mirror
from .output import emit
from .quiet import quiet

if TYPE_CHECKING:
    from ..runtime.calibration.judge import Tolerance


def arguments(parser: ArgumentParser) -> None:
    """Add what this command takes."""
    claim_argument(parser)
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
    parser.add_argument(
        "--strict", action="store_true", help="exit 1 unless every level asked for is identical"
    )


def run(options: Namespace) -> int:
    """Audit, and print the levels as a ladder; exit status 1 where one diverged."""
    _check(options)
    with opened_claim(options) as claim:
        done = _again if options.rerun or options.segments else _once
        # It quotes what differs, and what differs may be a secret.
        report = AuditReport.model_validate(masked(done(claim, options).to_json()))
        if options.statement:
            write_atomically(
                Path(options.statement), statement_text(audit_statement(claim, report))
            )
    if options.html:
        write_atomically(Path(options.html), page(report))
    emit(options, report.to_json(), text(report))
    return _status(report, strict=options.strict)


def _check(options: Namespace) -> None:
    """Refuse options that contradict each other."""
    if options.calibration and not (options.rerun or options.segments):
        raise InputError(
            "--calibration says how far a rerun may be apart, and nothing is run again",
            hint="add --rerun or --segments K",
        )
    if options.segments is None:
        if options.nonce is not None:
            raise InputError("--nonce decides which segments are drawn: give --segments K too")
        return
    if options.segments < 1:
        raise InputError(f"--segments is {options.segments}, at least 1 was expected")
    if options.rerun:
        raise InputError("--rerun executes every segment: leave out --segments or --rerun")
    if options.level and LEVELS.index(options.level) < LEVELS.index("steps"):
        raise InputError(
            f"--level {options.level} stops before the steps of training, which --segments is about"
        )


def _once(claim: Claim, options: Namespace) -> AuditReport:
    return audit(claim, _lower, options.level, _installed, _recompute)


def _again(claim: Claim, options: Namespace) -> AuditReport:
    """Execute the claim's steps in a store of their own, which is removed at the end."""
    from ..runtime.audit.rerun import Rerun
    from ..runtime.audit.segments import Segments

    if claim.plan is None:
        return _once(claim, options)  # a run without its plan diverged already
    origin, steps = Path(options.data).resolve(), claim.plan.steps
    registry = load_registry()
    tolerance = _tolerance(claim, options, registry)
    with contextlib.ExitStack() as stack:
        scratch = Path(stack.enter_context(scratch_folder("audit", options.scratch)))
        screen = stack.enter_context(quiet(scratch / "log.txt"))
        display = stack.enter_context(Display(claim.plan, screen, options, len(steps)))
        rerun = Rerun(
            claim,
            Store(scratch / "store"),
            registry,
            {step.name: origin for step in steps if step.kind == "source"},
            display,
            open_mirror(options),
            tolerance,
        )
        if options.segments:
            nonce = options.nonce if options.nonce is not None else secrets.token_hex(16)
            given = options.nonce is not None
            segments = Segments(rerun, options.segments, nonce, given)
            return audit_segments(
                claim, _lower, segments, options.level, _installed, by_plugins(registry)
            )
        return audit_again(claim, _lower, rerun, options.level, _installed, by_plugins(registry))


def _tolerance(claim: Claim, options: Namespace, registry: Registry) -> Tolerance | None:
    """Read the calibration, before anything is executed."""
    if not options.calibration:
        return None
    from ..runtime.calibration.calibration_file import FILE, read_calibration
    from ..runtime.calibration.judge import Tolerance

    own = options.calibration == "own"
    path = claim.folder / FILE if own else Path(options.calibration)
    return Tolerance(read_calibration(path, claim), registry)


def _lower(claim: Claim) -> Lowered:
    try:
        return lower_again(claim, load_registry())
    except RegistryError as error:
        return Lowered(why_not=f"the installed plugins cannot be loaded: {error.message}")


def _installed(claim: Claim) -> Sequence[Distribution]:
    """Return what the claim's plugins come from here; nothing where plugins cannot be loaded."""
    if claim.plan is None:
        return ()
    try:
        return load_registry().distributions(claim.plan)
    except RegistryError:
        return ()


def _recompute(claim: Claim, step: RecordedStep, output: Any) -> Mapping[str, float]:
    """Recompute metrics by the installed plugins; none where plugins cannot be loaded."""
    try:
        return by_plugins(load_registry())(claim, step, output)
    except RegistryError:
        return {}


def _status(report: AuditReport, *, strict: bool) -> int:
    if report.verdict == "diverged":
        return 1
    return int(strict and report.verdict != "identical")
