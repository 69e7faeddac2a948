"""The scorer `distinct-ngrams`."""

from __future__ import annotations

from typing import Literal

from khichdi.plugins import Params, Progress, Scorer, Scores, ScoringJob, hookimpl
from pydantic import Field

EVERY = 1000
"""Rows between two signs of life."""


class DistinctNgramsParams(Params):
    """Which text is looked at, in runs of how many words."""

    field: Literal["instruction", "input", "output"] = Field(
        "output", description="The text to score."
    )
    n: int = Field(2, ge=1, le=8, description="N-gram length in words.")


class DistinctNgrams(Scorer[DistinctNgramsParams]):
    """Score a text by the share of its runs of n words that are not repeated (distinct-n)."""

    name = "distinct-ngrams"
    example = {"field": "output", "n": 2}

    def score(self, job: ScoringJob) -> Scores:
        """Return 1 for a text that never repeats itself; None for one too short to."""
        values: list[float | None] = []
        for number, text in enumerate(job.rows.column(self.params.field).to_pylist(), 1):
            values.append(self._distinct(text))
            if number % EVERY == 0 or number == job.rows.num_rows:
                job.report(Progress(number, job.rows.num_rows, unit="rows"))
        return Scores(values)

    def _distinct(self, text: str) -> float | None:
        words, n = text.casefold().split(), self.params.n
        runs = [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]
        return len(set(runs)) / len(runs) if runs else None


@hookimpl
def khichdi_scorers() -> list[type[DistinctNgrams]]:
    """Return the plugins of this distribution."""
    return [DistinctNgrams]
