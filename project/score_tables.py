"""Read tables of scores: CSV, JSON, and the evaluations of runs.

    CSV    a header, then a line for each team; its name is in the first column
    JSON   {team: {metric: value}}, [[team, {metric: value}], ...], or a list of objects, each with
           the name in `team`, `name` or `model`
    run    the scores of the trained model: `<evaluator> - <score>`

Figures that follow from others (`... Mean Win Rate`, `Score_...`) are kept apart, to be compared.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..schema.document import parse_json
from ..schema.errors import InputError
from .predictions import evaluator_and_side
from .run_lookup import Run
from .win_rates import SEPARATOR, Standing

NAMES = ("team", "name", "model")
MISSING = {"", "-", "na", "n/a", "nan", "none", "null"}
WIN_RATE = " Mean Win Rate"
SCORES = {"Score_full": "score", "Score_open": "open_score", "Score_hidden": "hidden_score"}
LARGEST = 64 * 2**20


@dataclass(frozen=True)
class ScoreTable:
    """Scores by team and metric, and published figures that follow from them."""

    values: dict[str, dict[str, float | None]] = field(default_factory=dict)
    published: dict[str, dict[str, float]] = field(default_factory=dict)

    def add(self, team: str, metric: str, value: float | None, where: str) -> None:
        """Add a value.

        Raises:
            InputError: the team has another value of this metric already.
        """
        derived = metric.endswith(WIN_RATE) or metric in SCORES
        rows: Any = self.published if derived else self.values
        self.values.setdefault(team, {})
        row = rows.setdefault(team, {})
        if row.get(metric, value) != value and None not in (row[metric], value):
            raise InputError(f"{where}: `{team}` has `{metric}` twice: {row[metric]} and {value}")
        if value is not None or (not derived and metric not in row):
            row[metric] = value

    def disagreeing(self, standings: list[Standing]) -> list[tuple[str, str, float, float | None]]:
        """Return the published figures that are not as computed: team, name, both values."""
        found = []
        for one in standings:
            for name, told in self.published.get(one.team, {}).items():
                made = _computed(one, name)
                if made is None or not math.isclose(told, made, rel_tol=1e-9):
                    found.append((one.team, name, told, made))
        return found

    def figures(self) -> int:
        """Return how many published figures there are."""
        return sum(map(len, self.published.values()))


def _computed(one: Standing, name: str) -> float | None:
    if name in SCORES:
        value: float | None = getattr(one, SCORES[name])
        return value
    return one.scenarios.get(name.removesuffix(WIN_RATE))


def read_file(path: Path, table: ScoreTable) -> None:
    """Add the scores of a CSV or JSON file.

    Raises:
        InputError: it cannot be read, or is not a table of numbers; names the place.
    """
    shown = str(path)
    try:
        if path.stat().st_size > LARGEST:
            raise InputError(f"{shown}: a table of at most 64 MiB was expected")
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise InputError(f"cannot read {shown}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise InputError(f"{shown} is not UTF-8 text: a CSV or JSON table was expected") from None
    is_json = text.lstrip()[:1] in ("{", "[")
    found = list(_of_json(text, shown) if is_json else _of_csv(text, shown))
    if not found:
        raise InputError(f"{shown} has no scores", hint="a team for each row, metrics as columns")
    for team, metric, value, where in found:
        table.add(team, metric, value, where)


Cell = tuple[str, str, float | None, str]
"""Team, metric, value, and the place that it is from."""


def _of_csv(text: str, file: str) -> Iterator[Cell]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        lines = [
            (reader.line_num, cells) for cells in reader if any(cell.strip() for cell in cells)
        ]
    except csv.Error as error:
        raise InputError(f"{file}:{reader.line_num}: not CSV: {error}") from None
    if not lines:
        return
    head = [cell.strip() for cell in lines[0][1]]
    again = next((name for n, name in enumerate(head) if name in head[:n]), None)
    if again is not None:
        raise InputError(f"{file}:1: the column `{again}` is there twice")
    seen: set[str] = set()
    for number, cells in lines[1:]:
        where = f"{file}:{number}"
        if len(cells) != len(head):
            raise InputError(f"{where}: {len(cells)} cells; the header has {len(head)}")
        team = cells[0].strip()
        if not team or team in seen:
            what = f"the team `{team}` is there twice" if team else "the team's name is missing"
            raise InputError(f"{where}: {what}", hint="its name is in the first column")
        seen.add(team)
        for name, cell in zip(head[1:], cells[1:], strict=True):
            yield team, name, _number(cell.strip(), f"{where}, column `{name}`"), where


def _of_json(text: str, file: str) -> Iterator[Cell]:
    try:
        data = parse_json(text)
    except json.JSONDecodeError as error:
        raise InputError(f"{file}:{error.lineno}: not JSON: {error.msg}") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{file}: not JSON: {error}") from None
    seen: set[str] = set()
    for team, metrics in _teams(data, file):
        if team in seen:
            raise InputError(f"{file}: the team `{team}` is there twice")
        seen.add(team)
        for name, value in metrics.items():
            yield team, str(name), _number(value, f"{file}: `{name}` of `{team}`"), file


def _teams(data: Any, file: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield each team's name and metrics, in any of the layouts."""
    hint = "write {team: {metric: value}}, or a list of such objects with `team`"
    entries = list(data.items()) if isinstance(data, dict) else data
    for number, entry in enumerate(entries):
        if isinstance(entry, dict):
            name = next((key for key in NAMES if isinstance(entry.get(key), str)), None)
            if name is not None:
                yield entry[name], {k: v for k, v in entry.items() if k != name}
                continue
        elif isinstance(entry, list | tuple) and tuple(map(type, entry)) == (str, dict):
            yield entry[0], entry[1]
            continue
        raise InputError(f"{file}: entry {number + 1} is not a team with metrics", hint=hint)


def _number(value: Any, where: str) -> float | None:
    """Return a value as a number; None where it is missing."""
    if value is None or (isinstance(value, str) and value.casefold() in MISSING):
        return None
    try:
        if isinstance(value, bool):
            raise ValueError
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        shown = json.dumps(value, ensure_ascii=False)[:60]
        hint = "leave a missing value empty"
        raise InputError(f"{where}: a number was expected, got {shown}", hint=hint) from None
    if not math.isfinite(number):
        if isinstance(value, float) and math.isnan(number):
            return None
        raise InputError(f"{where}: a finite number was expected, got {value}")
    return number


def read_run(run: Run, table: ScoreTable) -> None:
    """Add the scores of a run's trained model: the means of what its predictions are scored by.

    Raises:
        InputError: the run has no evaluation.
        StoreError: the store does not have its predictions any more.
    """
    steps = [step for step in run.evaluations if evaluator_and_side(step)[1] == "adapter"]
    if not steps:
        hint = "add `evaluate:` to the recipe, and run it again: only the evaluation is executed"
        raise InputError(f"run {run.name} has no evaluation", hint=hint)
    for step in steps:
        rows = run.scored_rows(step)
        groups: dict[tuple[str, str], list[float]] = {}
        for row in rows:
            for name, value in row.scores.items():
                groups.setdefault((row.group, name), []).append(value)
        for (group, name), scores in sorted(groups.items()):
            title = SEPARATOR.join([group or evaluator_and_side(step)[0], name])
            table.add(run.name, title, math.fsum(scores) / len(scores), run.name)
