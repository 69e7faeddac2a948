"""Rank teams by mean win rates over scenarios, from tables of scores (CSV, JSON) or runs.

The rule is that of the NeurIPS 2023 LLM Efficiency Challenge: docs/evaluation.md has it.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..project.run_lookup import open_run
from ..project.score_tables import ScoreTable, read_file, read_run
from ..project.win_rates import HIDDEN, LOWER, SCENARIOS, Rules, Standing, rank
from ..runtime.store.store import write_atomically
from ..schema.errors import InputError
from .leaderboard_page import page
from .output import columns, emit, quoted
from .wrap import paragraph, width_of_terminal

NAME = 44


def arguments(parser: ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument(
        "tables", nargs="+", metavar="FILE", help="a table in CSV or JSON, or an evaluated run"
    )
    parser.add_argument(
        "--hidden",
        metavar="NAMES",
        help=f"scenarios of the hidden score, separated by commas (default: {','.join(HIDDEN)})",
    )
    parser.add_argument(
        "--lower",
        action="append",
        default=[],
        metavar="PATTERN",
        help="metrics whose lower values are better, beside measures of bias; any number",
    )
    parser.add_argument(
        "--scenario",
        action="append",
        default=[],
        metavar="NAME=PATTERN",
        help="put metrics that match the pattern into this scenario; any number",
    )
    parser.add_argument("--html", metavar="FILE", help="write the leaderboard as one page")


def run(options: Namespace) -> int:
    """Print ranks, scores and the mean win rates of scenarios."""
    table = ScoreTable()
    for text in options.tables:
        path = Path(text)
        if path.is_file():
            read_file(path, table)
        else:
            read_run(open_run(text, store=options.store), table)
    rules = _rules(options)
    standings = rank(table.values, rules)
    if options.html:
        write_atomically(Path(options.html), page(standings, rules))
    emit(options, _document(standings, table, rules), _text(standings, table))
    return 0


def _rules(options: Namespace) -> Rules:
    scenarios = {name: list(patterns) for name, patterns in SCENARIOS.items()}
    for text in options.scenario:
        name, found, pattern = text.partition("=")
        if not found or not name or not pattern:
            hint = "as in --scenario 'ethics=ethics_*'"
            raise InputError(f"--scenario {text}: NAME=PATTERN was expected", hint=hint)
        scenarios.setdefault(name, []).append(pattern)
    hidden = HIDDEN
    if options.hidden is not None:
        hidden = tuple(name.strip() for name in options.hidden.split(",") if name.strip())
    return Rules(scenarios, hidden, (*LOWER, *options.lower))


def _document(standings: list[Standing], table: ScoreTable, rules: Rules) -> dict[str, Any]:
    first = standings[0]
    return {
        "teams": [asdict(one) for one in standings],
        "scenarios": {
            name: [metric for metric in first.values if rules.scenario(metric) == name]
            for name in first.scenarios
        },
        "hidden": [name for name in first.scenarios if name in rules.hidden],
        "lower_is_better": [name for name in first.values if rules.is_lower_better(name)],
        "published": {
            "figures": table.figures(),
            "differ": [
                {"team": team, "figure": name, "published": told, "computed": made}
                for team, name, told, made in table.disagreeing(standings)
            ],
        },
    }


def _text(standings: list[Standing], table: ScoreTable) -> str:
    width = width_of_terminal()
    both = standings[0].open_score is not None and standings[0].hidden_score is not None
    room = max(12, min(NAME, width - (42 if both else 20)))
    rows = [("", "team", "score", *(("open", "hidden") if both else ()))]
    for one in standings:
        parts = (one.open_score, one.hidden_score) if both else ()
        scores = (_score(value) for value in (one.score, *parts))
        rows.append((str(one.rank), quoted(one.team, room), *scores))
    texts = [columns(rows), *_scenarios(standings, width)]
    differ = table.disagreeing(standings)
    if table.figures():
        agree = table.figures() - len(differ)
        texts.append(f"published figures: {agree:,} of {table.figures():,} agree")
        texts += [
            paragraph(f"{team}: {name} is {told:.6g}, computed {_score(made)}", width)
            for team, name, told, made in differ[:10]
        ]
    return "\n\n".join(texts)


def _scenarios(standings: list[Standing], width: int) -> list[str]:
    """Return mean win rates, a line for each scenario and a column for each team, by its rank."""
    names = list(standings[0].scenarios)
    left = max(len(quoted(name, 24)) for name in names) + 2
    fitting = max(1, (width - left - 2) // 7)
    tables = []
    for first in range(0, len(standings), fitting):
        part = standings[first : first + fitting]
        head = "mean win rate" if left >= 15 else ""
        lines = ["  " + head.ljust(left) + "".join(f"#{one.rank}".rjust(7) for one in part)]
        for name in names:
            cells = "".join(f"{one.scenarios[name]:.3f}".rjust(7) for one in part)
            lines.append(f"  {quoted(name, 24).ljust(left)}{cells}")
        tables.append("\n".join(lines))
    return tables


def _score(value: float | None) -> str:
    """Return a score; one that is zero but for the smallest positive number is shown as 0."""
    return "-" if value is None else f"{value:.4f}"
