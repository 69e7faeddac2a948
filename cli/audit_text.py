"""Print an audit report: one line per level, and the verdict."""

from __future__ import annotations

import json
from typing import Any

from ..schema.audit import (
    BEFORE_TRAINING,
    FULL,
    LARGEST,
    AuditReport,
    LevelReport,
    SegmentReplay,
    SegmentVerdict,
    holds,
)
from ..schema.printable import one_line
from .output import columns, quoted, short

SHOWN = 5
CLAIMED = 6
"""Figures shown of those that an audit could not recompute."""


def text(report: AuditReport) -> str:
    """Return the report for a person."""
    head = (
        f"claim: {one_line(report.recipe)}   recipe {short(report.recipe_hash)} "
        f"-> result {short(report.result_hash)}"
    )
    rows = [(level.level, _verdict(level), beside(level)) for level in report.levels]
    lines = [head, "", columns(rows)]
    first = report.first_diverged()
    if first is not None:
        lines.append("")
        for finding in first.findings[:SHOWN]:
            lines.append(f"  {one_line(finding.where())}")
            lines.append(f"    claimed {shown(finding.claimed)}")
            lines.append(f"    derived {shown(finding.derived)}")
        if len(first.findings) > SHOWN:
            lines.append(f"  and {len(first.findings) - SHOWN} more at this level")
    for replay in report.replays:
        lines += ["", *replayed(replay)]
    return "\n".join([*lines, "", *closing(report)])


def replayed(replay: SegmentReplay) -> list[str]:
    """Return which segments were executed again and why those, a line for each."""
    given = "" if replay.nonce_from == "system" else ", given: worth what its giver could not know"
    lines = [
        f"{replay.step}: {replay.steps:,} training steps in {replay.segments} segments; drawn "
        f"{', '.join(map(str, replay.drawn))}",
        f"  by result {replay.result_hash}",
        f"  and nonce {shown(replay.nonce)}{given}",
    ]
    for one in replay.replayed:
        verdict = "DIVERGED" if one.verdict == "diverged" else one.verdict
        why = "" if one.because == "drawn" else ", the adapter comes out of it"
        far = f", its update differs by {share(one)}" if one.error else ""
        lines.append(f"  segment {one.segment}, steps {one.first}-{one.last}{why}: {verdict}{far}")
    return lines


def share(one: SegmentVerdict) -> str:
    """Return the relative error of a segment's update, as a share of the claimed update."""
    if one.error is None:
        return ""
    return "too large to measure" if one.error >= LARGEST else f"{one.error:.2g}"


def closing(report: AuditReport) -> list[str]:
    """Return the verdict in words, with its basis."""
    first = report.first_diverged()
    if first is not None:
        lines = [f"verdict: DIVERGED at {first.level}"]
        apart = any(
            level.level == "environment" and level.verdict != "identical" for level in report.levels
        )
        executed = first.basis in ("sampled", "executed")
        if apart and executed and report.calibration is None:
            lines.append(
                "the environment is another too: equal but for rounding would need limits that "
                "honest reruns on both have shown"
            )
        return lines
    lines = [f"verdict: {report.verdict.upper()}{_rests_on(report)}"]
    if report.verdict == "equivalent":
        lines.append(
            f"within the limits of calibration {short(report.calibration or '')}: different "
            "bits, within the spread of honest reruns, closer than every forgery tested"
        )
    if report.mode == "bytes":
        lines.append(
            "nothing was executed: the documents and bytes agree with one another, which does not "
            "show that the run was done"
        )
    lines += [*_sampled(report), *_not_passed(report), *_bring(report)]
    return [*lines, *_claimed(report)]


def _claimed(report: AuditReport) -> list[str]:
    """Return lines with what the run only claims: figures, then fields that no hash binds."""
    lines, figures = [], report.claimed_figures()
    if figures:
        more = f" and {len(figures) - CLAIMED} more" if len(figures) > CLAIMED else ""
        named = ", ".join(map(one_line, figures[:CLAIMED]))
        lines.append(f"claimed, not recomputed: {named}{more}")
    if report.claimed:
        lines.append(f"claimed, in no hash: {', '.join(report.claimed)}")
    return lines


def _rests_on(report: AuditReport) -> str:
    """Return what the verdict rests on: open levels, else its weakest basis."""
    unsure = [
        level.level
        for level in report.levels
        if level.verdict == "unverifiable" and level.level != "environment"
    ]
    if unsure:
        return f": {', '.join(unsure)}"
    if report.passed:
        return ", PASSED: every level was derived or executed in full"
    samples = [level.sample for level in report.levels if level.sample]
    sampled = f", training sampled ({samples[0][0]} of {samples[0][1]})" if samples else ""
    return f"{sampled}, weakest basis: {report.basis}" if report.basis else sampled


def _sampled(report: AuditReport) -> list[str]:
    """Return lines with what a draw of segments finds, and whether their data was derived."""
    if report.mode != "segments":
        return []
    lines = [
        f"{one.step}: had 1 of {one.segments} segments been forged, this draw would have found it "
        f"with probability {one.odds[0].probability:.2f}; {one.surely_caught} or more, with at "
        "least 0.95"
        for one in report.replays
        if not one.why_not and len(one.replayed) < one.segments
    ]
    hashed = [
        level.level
        for level in report.levels
        if level.level in BEFORE_TRAINING and holds(level) and level.basis not in FULL
    ]
    if hashed:
        lines.append(f"what was trained on was not derived here: {', '.join(hashed)}")
    return lines


def _not_passed(report: AuditReport) -> list[str]:
    """Return a line on the levels that were not derived or executed in full."""
    short_of = [
        f"{level.level} ({level.basis})"
        for level in report.levels
        if level.verdict in ("identical", "equivalent") and level.basis not in FULL
    ]
    if report.passed or not short_of:
        return []
    return [f"not PASSED: {', '.join(short_of)} were not derived or executed in full"]


def _bring(report: AuditReport) -> list[str]:
    """Return a line on how to make the unverifiable levels verifiable."""
    if not any(
        level.verdict == "unverifiable" and "not here" in level.detail for level in report.levels
    ):
        return []
    return [
        "to verify them: a bundle written with --with-data (and --with-weights), or --rerun with "
        "the sources given by --data DIR or --mirror DIR"
    ]


def shown(value: Any) -> str:
    """Return a value of a finding on one line."""
    if value is None:
        return "nothing"
    return quoted(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False), 100)


def _verdict(level: LevelReport) -> str:
    return "DIVERGED" if level.verdict == "diverged" else level.verdict


def beside(level: LevelReport) -> str:
    """Return a level's basis with its detail, or the place where it diverged."""
    if level.where:
        return f"{level.basis or 'read'}: at {level.where}"
    sample = f" {level.sample[0]} of {level.sample[1]}" if level.sample else ""
    basis = f"{level.basis}{sample}" if level.basis else ""
    return f"{basis}: {level.detail}" if basis and level.detail else basis or level.detail
