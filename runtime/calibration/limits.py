"""Check measured deviations against a calibration's limits, level by level."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from ...schema.audit import LARGEST, Finding, Held
from ...schema.calibration import Calibration
from ..audit.tolerance import Judged, LevelVerdict


@dataclass(frozen=True)
class Limits:
    """The limits of a calibration, for the figures of one step."""

    calibration: Calibration
    step: str

    def hold(
        self,
        level: str,
        output: str,
        values: Mapping[str, float],
        names: Collection[str],
        found: LevelVerdict,
    ) -> None:
        """Hold a level's figures against their limits.

        Args:
            level: the level.
            output: which output of the step they are figures of.
            values: figures by name.
            names: which of the calibration's criteria are meant, of any level. A criterion that is
                meant and has no figure counts as infinitely far apart: it could be calculated
                when its limit was found.
            found: the verdict on the level, which this adds to.
        """
        for name, criterion in self.calibration.used().items():
            limit = criterion.limit
            if criterion.level != level or limit is None or name not in names:
                continue
            value = values.get(name, math.inf)
            value = value if math.isfinite(value) else LARGEST
            found.held.append(Held(criterion=name, value=value, limit=limit))
            if not value <= limit:
                found.findings.append(
                    Finding(
                        step=self.step,
                        output=output,
                        at=f"criterion {name}: {value:.3g} apart, limit {limit:.3g}",
                        claimed={"at most": limit},
                        derived={"apart": value},
                    )
                )

    def demand(self, names: Collection[str], found: LevelVerdict) -> None:
        """Report figures that need a limit and have none."""
        criteria = {one.name: one for one in self.calibration.found.criteria}
        for name in names:
            criterion = criteria.get(name)
            if criterion is None or criterion.limit is None:
                why = criterion.why if criterion else "its calibration does not have it"
                found.lacking.append(f"what it takes to judge {name} ({why})")

    def finding(self, output: str, at: str, claimed: Any, derived: Any) -> Finding:
        """Return a difference where nothing is tolerated."""
        return Finding(step=self.step, output=output, at=at, claimed=claimed, derived=derived)

    def incomparable(self, level: str, output: str, error: Exception) -> Judged:
        """Say of a trace or adapter that comparing it failed: anybody may have written it."""
        told = f"it cannot be compared: {type(error).__name__}: {error}"
        finding = self.finding(output, "the claimed training", told, None)
        return {level: LevelVerdict(findings=[finding])}
