"""Render an audit report as one self-contained HTML page."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from ..runtime.audit.audited_run import Claim
from ..runtime.environment import environment
from ..runtime.report.page import render
from ..runtime.report.words import GLOSSARY, machine, machine_of
from ..schema.audit import AuditReport, LevelReport, SegmentReplay
from .audit_text import closing, replayed, share, shown

SHOWN = 50
SIGNATURES = "attestation.json"


def page(report: AuditReport, claim: Claim) -> str:
    """Return the page of an audit of a claim; every word of the run is escaped."""
    first = report.first_diverged()
    return render(
        "audit.html",
        script=False,
        report=report,
        facts=list(_facts(report, claim)),
        hashes=[("recipe hash", report.recipe_hash), ("result hash", report.result_hash)],
        closing=closing(report),
        first=first.level if first else "",
        findings=_findings(first) if first else [],
        more=max(0, len(first.findings) - SHOWN) if first else 0,
        replays=[_replay(replay) for replay in report.replays],
        claimed=_claimed(report),
        following=list(_next(report, claim)),
        glossary=GLOSSARY,
    )


def _facts(report: AuditReport, claim: Claim) -> Iterator[tuple[str, str, bool]]:
    """Yield the facts at the head: a name, a value, and whether the run only claims it."""
    record = claim.record
    yield "run", report.subject, False
    yield "run started", record.when, True
    yield "run on", machine(record), True
    yield "audited", f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC", False
    yield "audited on", machine_of(environment()), False
    yield "executed", EXECUTED[report.mode], False
    keys = signers(claim)
    words = f"key {', '.join(keys)}; not verified by this audit" if keys else "nobody"
    yield "signed by", words, bool(keys)


EXECUTED = {
    "bytes": "nothing: documents and bytes were compared",
    "segments": "segments of the training",
    "rerun": "every step",
}


def signers(claim: Claim) -> list[str]:
    """Return the ids of the keys that a run says it is signed with, unverified."""
    try:
        found = json.loads((claim.folder / SIGNATURES).read_bytes())
        return sorted({str(one["keyid"]) for one in found["signatures"]})
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return []


def _replay(replay: SegmentReplay) -> dict[str, Any]:
    """Return the segments that were executed again, and what such a draw finds."""
    drawn, *rest = replayed(replay)
    return {
        "step": replay.step,
        "lines": [line.strip() for line in (drawn, *rest[:2])],
        "segments": [
            [
                str(one.segment),
                f"{one.first}-{one.last}",
                "drawn" if one.because == "drawn" else "the adapter comes out of it",
                one.verdict,
                share(one),
            ]
            for one in replay.replayed
        ],
        "odds": [
            [f"{one.forged} of {replay.segments}", f"{one.probability:.3f}"]
            for one in replay.odds[:SHOWN]
        ],
    }


def _claimed(report: AuditReport) -> list[list[str]]:
    """Return what the run only claims: fields that no hash binds, by kind, and figures."""
    claims = {**report.claimed, "figures": report.claimed_figures()}
    return [[what, ", ".join(names)] for what, names in claims.items() if names]


def _findings(level: LevelReport) -> list[list[str]]:
    return [
        [finding.where(), shown(finding.claimed), shown(finding.derived)]
        for finding in level.findings[:SHOWN]
    ]


def _next(report: AuditReport, claim: Claim) -> Iterator[tuple[str, str]]:
    """Yield commands that would check more, or say who stands for it."""
    name = claim.subject
    if report.mode == "bytes" and report.verdict != "diverged":
        yield f"recipe audit {name} --rerun", "executes every step again"
        if claim.plan is not None and claim.plan.trains:
            words = "replays segments of the training: minutes instead of hours"
            yield f"recipe audit {name} --segments 4", words
    if signers(claim):
        yield f"recipe verify {name} --key KEY", "verifies the signatures with the signer's key"
    yield f"recipe report {name}", "shows what the run did: its rows, curves and predictions"
