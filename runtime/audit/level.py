"""One level of an audit while it is checked: comparisons, findings, and what was missing."""

from __future__ import annotations

from ...schema.audit import Basis, Finding, Held, LevelReport, Verdict
from .documents import diverged


class Level:
    """The comparisons of one level, and the report that follows from them.

    Attributes:
        name: the level.
        basis: how its claims were checked.
        checked: how many claims were compared.
        findings: those that do not hold.
        absent: artifacts that were not here, by name.
        details: remarks for the report.
        held: figures that a calibration decided.
        claimed: figures that nothing here derives.
    """

    def __init__(self, name: str, basis: Basis = "hashed") -> None:
        self.name = name
        self.basis = basis
        self.checked = 0
        self.findings: list[Finding] = []
        self.absent: list[str] = []
        self.details: list[str] = []
        self.held: list[Held] = []
        self.claimed: list[str] = []

    def compare(self, finding: Finding) -> None:
        """Count a comparison, and keep it where the two sides differ."""
        self.checked += 1
        if finding.claimed != finding.derived:
            self.findings.append(finding)

    def contradict(self, finding: Finding) -> None:
        """Count a comparison that is known to differ, whatever can be shown of the two sides."""
        self.checked += 1
        self.findings.append(finding)

    def report(self) -> LevelReport:
        """Return the level's verdict."""
        held, claimed = tuple(self.held), tuple(dict.fromkeys(self.claimed))
        if self.findings:
            return diverged(self.name, self.checked, self.findings, basis=self.basis, criteria=held)
        same: Verdict = "equivalent" if held else "identical"
        return LevelReport(
            level=self.name,
            verdict=same if self.checked and not self.absent else "unverifiable",
            criteria=held,
            basis=self.basis,
            checked=self.checked,
            detail=self._detail(),
            claimed=claimed,
        )

    def _detail(self) -> str:
        if self.absent:
            more = f" and {len(self.absent) - 1} more" if len(self.absent) > 1 else ""
            return f"not here: {self.absent[0]}{more}"
        if self.held:
            nearest = max(self.held, key=lambda one: one.value / one.limit)
            return (
                f"{len(self.held)} figures within their limits; {nearest.criterion} is nearest, "
                f"{nearest.value:.2g} of {nearest.limit:.2g}"
            )
        return ", ".join(self.details) if self.checked else "the run has nothing at this level"
