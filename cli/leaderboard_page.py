"""Render a leaderboard as one self-contained HTML page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..project.win_rates import Rules, Standing
from ..runtime.report.page import render

Table = tuple[str, str, list[str], list[list[object]]]
"""A title, a caption, the heads of columns, and rows; the first cell of a row is its name."""


def page(standings: Sequence[Standing], rules: Rules) -> str:
    """Return the page; every name is escaped."""
    tables = [
        (title, caption, head, [[_shown(cell) for cell in row] for row in rows])
        for title, caption, head, rows in _tables(standings, rules)
    ]
    return render("leaderboard.html", script=False, teams=len(standings), tables=tables)


def _tables(standings: Sequence[Standing], rules: Rules) -> Iterator[Table]:
    metrics, scenarios = standings[0].values, standings[0].scenarios
    scores: list[list[object]] = [
        [one.team, one.rank, one.score, one.open_score, one.hidden_score] for one in standings
    ]
    yield (
        "Scores",
        "Rank and scores of each team",
        ["Team", "Rank", "Score", "Open", "Hidden"],
        scores,
    )
    titles = [f"{name} (hidden)" if name in rules.hidden else name for name in scenarios]
    means: list[list[object]] = [[one.team, *one.scenarios.values()] for one in standings]
    yield "Mean win rates", "Mean win rate of each team by scenario", ["Team", *titles], means
    titles = [f"{m} (lower is better)" if rules.is_lower_better(m) else m for m in metrics]
    values: list[list[object]] = [
        [one.team, *(one.values[name] for name in metrics)] for one in standings
    ]
    yield "Values", "Value of each team by metric", ["Team", *titles], values
    rates: list[list[object]] = [
        [one.team, *(one.win_rates[name] for name in metrics)] for one in standings
    ]
    yield "Win rates", "Win rate of each team by metric", ["Team", *metrics], rates


def _shown(value: object) -> object:
    if isinstance(value, float):
        return f"{value:.4f}"
    return "missing" if value is None else value
