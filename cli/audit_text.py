"""Print an audit report: one line per level, and the verdict."""

from __future__ import annotations

import json
from typing import Any

from ..schema.audit import LARGEST, AuditReport, LevelReport, SegmentReplay, SegmentVerdict
from .output import columns, quoted, short

SHOWN = 5
BASIS = {
    "derived": "derived again",
    "hashed": "bytes hashed again",
    "sampled": "executed in part",
    "executed": "executed again",
    None: "",
}


def text(report: AuditReport) -> str:
    """Return the report for a person."""
    head = (
        f"claim: {report.recipe}   recipe {short(report.recipe_hash)} "
        f"-> result {short(report.result_hash)}"
    )
    rows = [
        (level.level, _verdict(level), BASIS[level.basis], _beside(level))
        for level in report.levels
    ]
    lines = [head, "", columns(rows)]
    first = report.first_diverged()
    if first is not None:
        lines.append("")
        for finding in first.findings[:SHOWN]:
            lines.append(f"  {finding.where()}")
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
    """Return how far what a segment learnt is apart, as a share of what it is said to be."""
    if one.error is None:
        return ""
    return "too large to measure" if one.error >= LARGEST else f"{one.error:.2g}"


def closing(report: AuditReport) -> list[str]:
    """Return the verdict in words, and what it rests on."""
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
    lines = [f"verdict: {report.verdict.upper()}"]
    open_ = [
        level.level
        for level in report.levels
        if level.verdict == "unverifiable" and level.level != "environment"
    ]
    if open_:
        lines[0] += f": {', '.join(open_)}"
    if report.verdict == "equivalent":
        lines.append(
            f"within the limits of calibration {short(report.calibration or '')}: different "
            "bits, within the spread of honest reruns, closer than every forgery tested"
        )
    if any(level.basis == "sampled" for level in report.levels):
        lines.append(
            "of the training only the segments above were executed: of the rest this says that "
            "nothing was changed since"
        )
    if not any(level.basis in ("sampled", "executed") for level in report.levels):
        lines.append(
            "nothing was executed: this says that nothing was changed since, not that it was done"
        )
    return lines


def shown(value: Any) -> str:
    """Return a value of a finding on one line."""
    if value is None:
        return "nothing"
    return quoted(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False), 100)


def _verdict(level: LevelReport) -> str:
    return "DIVERGED" if level.verdict == "diverged" else level.verdict


def _beside(level: LevelReport) -> str:
    return f"at {level.where}" if level.where else level.detail
