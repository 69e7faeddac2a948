"""The scorer `my-plugin`."""

from __future__ import annotations

from khichdi.plugins import Params, Scorer, Scores, ScoringJob
from pydantic import Field


class MyPluginParams(Params):
    """Parameters of `my-plugin`; every field has a description."""

    per: int = Field(100, ge=1, description="Characters that count as 1.")


class MyPlugin(Scorer[MyPluginParams]):
    """Score rows by the length of their answers."""

    name = "my-plugin"

    def score(self, job: ScoringJob) -> Scores:
        """Return the length of each row's answer."""
        answers = job.rows.column("output").to_pylist()
        return Scores([len(answer) / self.params.per for answer in answers])
