"""Run a whole audit: documents and bytes, and where asked execution, level after level."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...schema.audit import (
    BEFORE_TRAINING,
    LEVELS,
    AuditReport,
    LevelReport,
    Mode,
    in_full,
    overall,
    weakest,
)
from .artifacts import DeriveTexts, audit_artifacts, nothing_derived
from .audited_run import Claim, upto
from .documents import (
    Installed,
    Lower,
    audit_environment,
    audit_plan,
    audit_recipe,
    differs,
    nothing_installed,
)
from .figures import Recompute, nothing_recomputed

if TYPE_CHECKING:
    from .rerun import Rerun
    from .segments import Segments


def audit(
    claim: Claim,
    lower: Lower,
    level: str | None = None,
    installed: Installed = nothing_installed,
    recompute: Recompute = nothing_recomputed,
    derive_texts: DeriveTexts = nothing_derived,
) -> AuditReport:
    """Audit documents and bytes up to a level; nothing is executed."""
    found = []
    for name in upto(level):
        if name == "recipe":
            found.append(audit_recipe(claim, lower))
        elif name == "plan":
            found.append(audit_plan(claim))
        elif name == "environment":
            found.append(audit_environment(claim, installed))
        else:
            found.append(audit_artifacts(claim, name, recompute, derive_texts))
    return report(claim, found)


def audit_again(
    claim: Claim, found: AuditReport, rerun: Rerun, level: str | None = None
) -> AuditReport:
    """Execute every step again, after an audit of documents and bytes that found them to hold.

    A claim that does not even fit its own bytes is not worth the machine's time.
    """
    if found.verdict == "diverged":
        return found.model_copy(update={"mode": "rerun"})
    executed = {level.level: level for level in rerun.run(level)}
    if rerun.elsewhere:
        executed["environment"] = differs(claim, tuple(rerun.elsewhere))
    levels = [_merged(level, executed.get(level.level)) for level in found.levels]
    return _calibrated(report(claim, levels, "rerun"), rerun)


def audit_segments(claim: Claim, found: AuditReport, segments: Segments) -> AuditReport:
    """Execute some segments of training again, after an audit of documents and bytes that held.

    All that training starts from is derived from the pinned bytes first, where it can be.
    """
    if found.verdict == "diverged":
        return found.model_copy(update={"mode": "segments"})
    segments.run()
    levels = [_sampled(level, segments.levels.get(level.level)) for level in found.levels]
    done = report(claim, levels, "segments")
    done = done.model_copy(update={"replays": tuple(segments.replays)})
    return _calibrated(done, segments.rerun)


def _calibrated(report: AuditReport, rerun: Rerun) -> AuditReport:
    """Name the calibration that the audit was given."""
    if rerun.tolerance is None:
        return report
    return report.model_copy(update={"calibration": rerun.tolerance.calibration.seal()})


def _sampled(hashed: LevelReport, executed: LevelReport | None) -> LevelReport:
    """Return a level's report; bytes that hold stay hashed where they could not be executed."""
    if executed is None or hashed.verdict == "not run":
        return hashed
    if executed.verdict == "not run" or (
        executed.verdict == "unverifiable" and hashed.level in BEFORE_TRAINING
    ):
        detail = f"not derived here: {executed.detail}" if executed.detail else hashed.detail
        return hashed.model_copy(update={"detail": detail})
    update = {
        "checked": hashed.checked + executed.checked,
        "detail": executed.detail or _hashed_detail(hashed),
        "claimed": hashed.claimed if executed.level not in BEFORE_TRAINING else (),
    }
    return executed.model_copy(update=update)


def _merged(hashed: LevelReport, executed: LevelReport | None) -> LevelReport:
    """Return a level's report; a level without steps, such as no exports, stays as it was."""
    if executed is None or (not executed.checked and hashed.basis == "derived"):
        return hashed
    return executed.model_copy(update={"detail": executed.detail or _hashed_detail(hashed)})


def _hashed_detail(level: LevelReport) -> str:
    """Return what stays true of a level once it was executed."""
    return "" if level.basis == "read" else level.detail


def report(claim: Claim, found: list[LevelReport], mode: Mode = "bytes") -> AuditReport:
    """Return the report; levels that were not asked for are `not run`."""
    done = {level.level: level for level in found}
    levels = tuple(done.get(name) or LevelReport(level=name, verdict="not run") for name in LEVELS)
    first = next((level for level in levels if level.verdict == "diverged"), None)
    return AuditReport(
        subject=claim.subject,
        recipe=claim.record.recipe,
        recipe_hash=claim.record.recipe_hash,
        result_hash=claim.record.result_hash,
        verdict=overall(levels),
        mode=mode,
        basis=weakest(levels),
        passed=all(in_full(level) for level in levels),
        where=f"{first.level}: {first.where}" if first else None,
        claimed=claim.claims(),
        levels=levels,
    )
