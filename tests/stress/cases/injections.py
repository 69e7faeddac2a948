"""An injected divergence, and whether an audit names it."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from khichdi.cli.capture_output import capture_output
from khichdi.plugins.registry import load_registry
from khichdi.project.recompile import lower_again
from khichdi.runtime.audit.audit import audit, audit_again
from khichdi.runtime.audit.audited_run import Claim, open_claim
from khichdi.runtime.audit.documents import Lowered
from khichdi.runtime.audit.rerun import Rerun
from khichdi.runtime.store.store import Store
from khichdi.schema.audit import AuditReport
from khichdi.schema.errors import InputError


@dataclass(frozen=True)
class Injection:
    """One divergence.

    Attributes:
        what: what is changed, in words.
        level: the first level that diverges.
        where: words that the place of its first finding has.
        inject: changes it.
        executed: whether only executing the steps again can find it.
    """

    what: str
    level: str
    where: str
    inject: Callable[[], None]
    executed: bool = False


def audited(claim: Claim, injection: Injection) -> str | None:
    """Audit a run into which something was injected; return what is wrong with the answer."""
    level = injection.level if injection.executed else None
    try:
        found = _report(open_claim(claim.folder, "run", claim.stores), level)
    except InputError as error:
        return f"an error instead of a report: {error}"
    first = found.first_diverged()
    if first is None:
        return f"nothing diverged ({found.verdict})"
    if first.level != injection.level or injection.where not in (first.where or ""):
        return f"{first.level}: {first.where}"
    return None if first.findings[0].claimed != first.findings[0].derived else "the same values"


def _report(claim: Claim, level: str | None) -> AuditReport:
    """Return the report, of steps executed again where a level is given to which they are."""
    registry = load_registry()

    def lower(asked: Claim) -> Lowered:
        return lower_again(asked, registry)

    if level is None:
        return audit(claim, lower)
    with tempfile.TemporaryDirectory() as scratch, capture_output(Path(scratch) / "log.txt"):
        origins = {step.name: claim.folder for step in claim.record.steps if step.kind == "source"}
        store = Store(Path(scratch) / "store")
        rerun = Rerun(claim, store, registry, origins, _Silent())
        return audit_again(claim, audit(claim, lower, level), rerun, level)


class _Silent:
    """Wants to see nothing."""

    def started(self, step: Any) -> None:
        """Take no note."""

    progress = finished = lambda self, *_: None
