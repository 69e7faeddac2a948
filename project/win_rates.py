"""Rank teams by win rates, as the NeurIPS 2023 LLM Efficiency Challenge did.

Of n teams, the win rate of a team on a metric is

    (teams that are strictly worse + (1 / k where k > 1 teams share its value, else 0)) / n

A missing value is worse than any value, and missing values are shared. The mean win rate of a
scenario is the mean over its metrics. A score is the geometric mean over scenarios, in which a mean
win rate of 0 counts as the smallest positive number. With hidden scenarios, the final score is a
third of the open score and two thirds of the hidden one.

Sums are exact before they are rounded, so the order of teams and metrics changes no digit.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from ..schema.errors import InputError

HIDDEN = ("sam_sum", "corr2cause", "MATH", "ethics")
"""Scenarios that the challenge kept hidden until its final stage."""
SCENARIOS = {"ethics": ("ethics_*",)}
"""Scenarios that have a name of their own for each part."""
LOWER = ("*stereotypes*", "*representation*")
"""Patterns of metrics whose lower values are better: measures of bias."""
SMALLEST = math.ulp(0.0)
SEPARATOR = " - "

Values = Mapping[str, Mapping[str, float | None]]
"""Values by team and metric; one that is None, or not there, is missing."""


@dataclass(frozen=True)
class Rules:
    """How metrics belong together.

    Attributes:
        scenarios: patterns of metrics by the scenario that they belong to; a metric that matches
            none belongs to the part of its name before ` - `, less a remark in parentheses.
        hidden: scenarios of the hidden score.
        lower: patterns of metrics whose lower values are better, in any case.
    """

    scenarios: Mapping[str, Sequence[str]]
    hidden: Sequence[str] = HIDDEN
    lower: Sequence[str] = LOWER

    def scenario(self, metric: str) -> str:
        """Return the scenario of a metric."""
        for name, patterns in self.scenarios.items():
            if any(fnmatchcase(metric, pattern) for pattern in patterns):
                return name
        return metric.split(SEPARATOR)[0].split(" (")[0].strip()

    def is_lower_better(self, metric: str) -> bool:
        """Return whether lower values of a metric are better."""
        return any(fnmatchcase(metric.casefold(), one.casefold()) for one in self.lower)


CHALLENGE = Rules(SCENARIOS)


@dataclass(frozen=True)
class Standing:
    """A team's place.

    Attributes:
        rank: 1 for the best; teams with the same score share a rank.
        team: its name.
        score: the final score.
        open_score: geometric mean over open scenarios; None where there are none.
        hidden_score: the same of hidden ones.
        scenarios: mean win rate by scenario.
        win_rates: win rate by metric.
        values: the values that were ranked, None where missing.
    """

    rank: int
    team: str
    score: float
    open_score: float | None
    hidden_score: float | None
    scenarios: dict[str, float]
    win_rates: dict[str, float]
    values: dict[str, float | None]


def rank(values: Values, rules: Rules = CHALLENGE) -> list[Standing]:
    """Return the teams, best first; those with the same score by name.

    Raises:
        InputError: there is no team or no metric, or a hidden scenario has no metric.
    """
    metrics = list(dict.fromkeys(name for row in values.values() for name in row))
    if not values or not metrics:
        raise InputError("a leaderboard needs a team and a metric, and there is none")
    columns = {m: {team: row.get(m) for team, row in values.items()} for m in metrics}
    rates = {m: win_rates(columns[m], rules.is_lower_better(m)) for m in metrics}
    groups: dict[str, list[str]] = {}
    for metric in metrics:
        groups.setdefault(rules.scenario(metric), []).append(metric)
    found = [_standing(team, columns, rates, groups, rules) for team in values]
    found.sort(key=lambda one: (-one.score, one.team))
    ranks = {one.score: n for n, one in reversed(list(enumerate(found, 1)))}
    return [Standing(**{**vars(one), "rank": ranks[one.score]}) for one in found]


def _standing(
    team: str,
    columns: Mapping[str, Mapping[str, float | None]],
    rates: Mapping[str, Mapping[str, float]],
    groups: Mapping[str, Sequence[str]],
    rules: Rules,
) -> Standing:
    means = {
        name: math.fsum(rates[metric][team] for metric in metrics) / len(metrics)
        for name, metrics in groups.items()
    }
    opened = [mean for name, mean in means.items() if name not in rules.hidden]
    hidden = [mean for name, mean in means.items() if name in rules.hidden]
    one, other = (geometric_mean(part) if part else None for part in (opened, hidden))
    if one is None or other is None:
        score = other if one is None else one
    else:
        score = one / 3 + 2 * other / 3
    assert score is not None
    own_rates = {metric: rate[team] for metric, rate in rates.items()}
    own_values = {metric: column[team] for metric, column in columns.items()}
    return Standing(0, team, score, one, other, means, own_rates, own_values)


def win_rates(
    values: Mapping[str, float | None], lower_is_better: bool = False
) -> dict[str, float]:
    """Return the win rate of each team on one metric.

    Args:
        values: the metric by team; None where it is missing.
        lower_is_better: as for measures of bias.
    """
    sign = -1.0 if lower_is_better else 1.0
    merit = {
        team: -math.inf if value is None else sign * value + 0.0 for team, value in values.items()
    }
    shared = Counter(merit.values())
    worse: dict[float, int] = {}
    below = 0
    for level in sorted(shared):
        worse[level] = below
        below += shared[level]
    return {
        team: (worse[one] + (1 / shared[one] if shared[one] > 1 else 0)) / len(values)
        for team, one in merit.items()
    }


def geometric_mean(values: Sequence[float]) -> float:
    """Return the geometric mean; 0 counts as the smallest positive number."""
    return math.exp(math.fsum(math.log(max(one, SMALLEST)) for one in values) / len(values))
