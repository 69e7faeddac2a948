"""Render a leaderboard as one self-contained HTML page."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ..project.win_rates import Rules, Standing
from ..runtime.report.page import render

SCORES = "Geometric means of mean win rates over scenarios"


def page(standings: Sequence[Standing], rules: Rules) -> str:
    """Return the page; every name is escaped."""
    scores = [
        [one.rank, one.team, one.score, one.open_score, one.hidden_score] for one in standings
    ]
    means = [[one.team, *one.scenarios.values()] for one in standings]
    metrics = standings[0].values
    titles = [m + (" (lower is better)" if rules.is_lower_better(m) else "") for m in metrics]
    values = [[one.team, *(one.values[name] for name in metrics)] for one in standings]
    rates = [[one.team, *(one.win_rates[name] for name in metrics)] for one in standings]
    hidden = [name for name in standings[0].scenarios if name in rules.hidden]
    scenarios = [f"{n} (hidden)" if n in hidden else n for n in standings[0].scenarios]
    tables = [
        ("Scores", SCORES, ["Rank", "Team", "Score", "Open", "Hidden"], _cells(scores)),
        ("Mean win rates", "By scenario", ["Team", *scenarios], _cells(means)),
        ("Values", "By metric", ["Team", *titles], _cells(values)),
        ("Win rates", "By metric", ["Team", *metrics], _cells(rates)),
    ]
    return render("leaderboard.html", script=False, teams=len(standings), tables=tables)


def _cells(rows: Iterable[Iterable[object]]) -> list[list[str]]:
    return [[_cell(value) for value in row] for row in rows]


def _cell(value: object) -> str:
    if value is None:
        return "missing"
    return f"{value:.4f}" if isinstance(value, float) else str(value)
