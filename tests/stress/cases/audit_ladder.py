"""A ladder of audits, the cheapest first: what finds a forged run, and whether anything does."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from khichdi.project.audit_target import open_target
from khichdi.project.model_card import derived_texts
from khichdi.project.observer import Observer
from khichdi.project.recompile import lower_again
from khichdi.runtime.audit.audit import audit, audit_again, audit_segments
from khichdi.runtime.audit.audited_run import Claim
from khichdi.runtime.audit.documents import Lowered
from khichdi.runtime.audit.figures import by_plugins
from khichdi.runtime.audit.rerun import Rerun
from khichdi.runtime.audit.segments import Segments
from khichdi.runtime.signing.signing import SignatureError, sign, verify
from khichdi.runtime.store.store import Store
from khichdi.schema.audit import AuditReport
from khichdi.schema.errors import KhichdiError
from khichdi.schema.lock import Distribution

from .forger import registry
from .honest_runs import Honest

ALL = 1_000
"""More segments than a training has: all of them are executed."""


@dataclass(frozen=True)
class Told:
    """What an audit said of a forged run.

    Attributes:
        by: the rung that found it; None where none did.
        text: how, in words.
        fault: an error of khichdi's own instead of an answer.
        holds: whether every step was executed again, and gave what is claimed.
        unverifiable: whether the strongest audit could not judge it: `--strict` refuses it.
    """

    by: str | None = None
    text: str = ""
    fault: bool = False
    holds: bool = False
    unverifiable: bool = False

    def __str__(self) -> str:
        return f"{'FAULT ' * self.fault}{self.text}" + (f" ({self.by})" if self.by else "")


class Ladder:
    """Audits forged copies of an honest run.

    What an honest rerun makes is made once, and kept: a step's key says what it has to give, so
    each audit starts from a store of its own with those results. Segments are executed each time.
    """

    def __init__(self, honest: Honest, folder: Path) -> None:
        self.honest, self.scratch = honest, folder / "scratch"
        self.derived = folder / "derived"
        with open_target(honest.run) as claim:
            found = _audit(claim)
            done = audit_again(claim, found, self._again(claim, Store(self.derived)))
            assert done.verdict == "identical", done.where
            sign(claim, honest.key)
            self._verify(claim, found)

    def judge(self, subject: Honest | Path) -> Told:
        """Climb until something finds the run, or bundle, not to be as claimed."""
        rung = next(iter(LADDER))
        told = Told()
        try:
            with open_target(subject if isinstance(subject, Path) else subject.run) as claim:
                found = _audit(claim)
                for rung, climb in LADDER.items():
                    told = _answer(rung, climb(self, claim, found), told)
                    if told.by is not None:
                        return told
        except KhichdiError as error:
            text = f"{told.text}; {error.message}" if told.text else error.message
            return replace(told, by=rung, text=text, fault=error.status not in (1, 2))
        except Exception as error:  # of khichdi: no input is to give a traceback
            return Told(rung, f"{type(error).__name__}: {error}", fault=True)
        return told

    # ---- rungs ------------------------------------------------------------------------------

    def _bytes(self, claim: Claim, found: AuditReport) -> AuditReport:
        return found

    def _segments(self, claim: Claim, found: AuditReport) -> AuditReport:
        segments = Segments(self._again(claim, self._copied()), ALL, "dice", given=True)
        try:
            return audit_segments(claim, found, segments)
        finally:
            shutil.rmtree(self.scratch)

    def _rerun(self, claim: Claim, found: AuditReport) -> AuditReport:
        try:
            return audit_again(claim, found, self._again(claim, self._copied()))
        finally:
            shutil.rmtree(self.scratch)

    def _verify(self, claim: Claim, found: AuditReport) -> None:
        """Verify with the key of who made the honest run, as `recipe verify` does."""
        verify(claim, [self.honest.public])
        report = audit(claim, lambda claim: Lowered(why_not="not compiled to verify"))
        if report.verdict == "diverged":
            raise SignatureError(f"the signatures hold, and the run does not: {report.where}")

    # ---- executing --------------------------------------------------------------------------

    def _copied(self) -> Store:
        """Return a store that has what an honest rerun gives."""
        shutil.copytree(self.derived, self.scratch, copy_function=os.link)
        return Store(self.scratch)

    def _again(self, claim: Claim, store: Store) -> Rerun:
        return Rerun(claim, store, registry(), {}, Observer())


def _answer(rung: str, found: AuditReport | None, before: Told) -> Told:
    """Return what a rung said; whether it cannot be told is kept from one to the next."""
    if found is None:
        return before
    if found.passed and rung == "audit":
        return Told(rung, "said to have passed, and not executed", fault=True)
    if found.verdict == "identical":
        return Told(text=before.text, holds=found.passed)
    told = next(level for level in found.levels if level.verdict == found.verdict)
    text = f"{found.verdict} by {rung} at {told.level}: {told.where or told.detail}"
    by = rung if found.verdict == "diverged" else None
    return Told(by, text, unverifiable=found.verdict == "unverifiable")


def lower_by_installed(claim: Claim) -> Lowered:
    """Compile a claim's recipe again, with the installed plugins."""
    return lower_again(claim, registry())


def _audit(claim: Claim) -> AuditReport:
    texts = partial(derived_texts, registry=registry())
    recompute = by_plugins(registry())
    return audit(claim, lower_by_installed, None, _installed, recompute, texts)


def _installed(claim: Claim) -> Sequence[Distribution]:
    return registry().distributions(claim.plan) if claim.plan else ()


LADDER: dict[str, Callable[[Ladder, Claim, AuditReport], AuditReport | None]] = {
    "audit": Ladder._bytes,
    "segments": Ladder._segments,
    "rerun": Ladder._rerun,
    "verify": Ladder._verify,
}
"""By the word of the option or command, what each rung does."""
