"""Compare the rows of a run with what its recipe expects."""

from __future__ import annotations

from collections.abc import Sequence

from ..schema.recipe import Recipe
from ..schema.record import RecordedStep

TOLERATED = 0.1
"""Share of the expected rows that may be missing or more without a word."""


def unexpected(recipe: Recipe, steps: Sequence[RecordedStep]) -> list[str]:
    """Return a sentence for each data set whose rows are far from what the recipe expects."""
    found = []
    for name, data in recipe.data.items():
        made = [s for s in steps if s.name.startswith(f"data/{name}/") and s.kind != "source"]
        if data.expect is None or not made:
            continue
        rows, expected = int(str(made[-1].result.facts["rows_out"])), data.expect.rows
        if abs(rows - expected) > TOLERATED * expected:
            found.append(f"data.{name}: {rows:,} rows, where the recipe expects {expected:,}")
    return found
