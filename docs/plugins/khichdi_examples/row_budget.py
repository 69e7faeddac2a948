"""The rule `row-budget`."""

from __future__ import annotations

from khichdi.plugins import Breach, Facts, Params, Rule, hookimpl
from pydantic import Field


class RowBudgetParams(Params):
    """How many rows may be trained on."""

    at_most: int = Field(ge=1, description="Rows that a recipe may train on.")
    device: str = Field(
        "rtx-4090",
        min_length=1,
        description="A device that `recipe plan --device` knows: estimates are made for one, and "
        "rows are the same for each.",
    )


class RowBudget(Rule[RowBudgetParams]):
    """Hold a recipe to a number of rows, as `recipe plan` estimates them."""

    name = "row-budget"
    example = {"at_most": 10_000}

    def breaches(self, facts: Facts) -> list[Breach]:
        """Return a breach where there are more rows; a warning where nothing tells."""
        if facts.estimate is None:
            return []
        estimate = facts.estimate(self.params.device)
        rows = estimate.rows
        if rows is None and estimate.at_least is not None:
            rows = estimate.at_least.rows
        if rows is not None and rows > self.params.at_most:
            least = "" if estimate.rows is not None else "at least "
            message = f"{least}{rows:,} rows to train on, {self.params.at_most:,} are allowed"
            return [Breach(message, ("data",), "sample fewer with `sample:`")]
        if estimate.rows is None:
            message = "how many rows there are is not known"
            return [Breach(message, ("data",), "; ".join(estimate.unknown) or None, "warning")]
        return []


@hookimpl
def khichdi_rules() -> list[type[RowBudget]]:
    """Return the plugins of this distribution."""
    return [RowBudget]
