"""A whole audit: level after level, by the bytes, and where asked by executing the steps again."""

from __future__ import annotations

from ...schema.audit import LEVELS, AuditReport, LevelReport, overall
from .artifacts import audit_artifacts
from .claim import Claim, upto
from .documents import Lower, audit_environment, audit_plan, audit_recipe


def audit(claim: Claim, lower: Lower, level: str | None = None) -> AuditReport:
    """Audit documents and bytes up to a level; nothing is executed."""
    found = []
    for name in upto(level):
        if name == "recipe":
            found.append(audit_recipe(claim, lower))
        elif name == "plan":
            found.append(audit_plan(claim))
        elif name == "environment":
            found.append(audit_environment(claim))
        else:
            found.append(audit_artifacts(claim, name))
    return report(claim, found)


def report(claim: Claim, found: list[LevelReport]) -> AuditReport:
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
        where=f"{first.level}: {first.where}" if first else None,
        levels=levels,
    )
