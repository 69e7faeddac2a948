"""Render a leaderboard as one self-contained HTML page."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from ..project.win_rates import Rules, Standing
from ..schema.printable import printable
from .audit_page import STYLE

TABLES = """
body { max-width: none; } .number { text-align: right; font-variant-numeric: tabular-nums; }
.wide { overflow-x: auto; } .best { font-weight: 600; }
"""


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
    return printable(f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Leaderboard</title>
<meta name="viewport" content="width=device-width"><style>{STYLE}{TABLES}</style></head><body>
<h1>Leaderboard of {len(standings)} teams</h1>
{_table(["Rank", "Team", "Score", "Open", "Hidden"], scores)}
<p>Scores are geometric means of mean win rates over scenarios; with hidden scenarios, the score
is a third of the open score and two thirds of the hidden one.</p>
<h2>Mean win rates</h2>
{_table(["Team", *scenarios], means)}
<h2>Values</h2>
{_table(["Team", *titles], values)}
<h2>Win rates</h2>
{_table(["Team", *metrics], rates)}
</body></html>
""")


def _table(head: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    titles = "".join(f'<th scope="col">{escape(title)}</th>' for title in head)
    body = "\n".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows)
    return (
        f'<div class="wide"><table><thead><tr>{titles}</tr></thead>\n'
        f"<tbody>\n{body}\n</tbody></table></div>"
    )


def _cell(value: object) -> str:
    if isinstance(value, str):
        return f'<th scope="row">{escape(value)}</th>'
    shown = "missing" if value is None else f"{value:.4f}" if isinstance(value, float) else value
    return f'<td class="number">{shown}</td>'
