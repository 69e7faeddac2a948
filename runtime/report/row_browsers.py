"""Predictions and dropped rows of a run, to browse in its page."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from ...schema.errors import InputError, StoreError
from ...schema.plan import Plan
from ...schema.record import Record, RecordedStep
from ..curation.rows import rows_of
from ..row_lineage import DroppedRow, Lineage
from ..store.store import Store
from .browsing import Browser, Item, browser

DROPS = 4_000
"""Dropped rows in a page, at most."""
EACH = 150
"""Dropped rows of one step and reason, at most."""
SIDES = ("base", "adapter")
FIELDS = ("instruction", "input", "output")
NAMES = {"base": "base model", "adapter": "trained model"}

Predictions = dict[str, dict[str, Any]]
"""Predictions by the ids of their rows."""


def prediction_browsers(record: Record, store: Store) -> list[Browser]:
    """Return the predictions of each evaluator, before and after training side by side."""
    names = dict.fromkeys(s.name.rpartition("/")[0] for s in record.steps if s.kind == "evaluator")
    found = []
    for number, name in enumerate(names, 1):
        sides = {side: predictions_of(record, store, f"{name}/{side}") for side in SIDES}
        sides = {side: made for side, made in sides.items() if made}
        if sides:
            items = list(compared_items(sides, rows_by_id(record, store), "base", "adapter"))
            labels = ["Asked", "Expected", *(_title(side) for side in sides), "Task"]
            what = f"predictions of {name}"
            found.append(browser(f"predictions-{number}", labels, items, len(items), what))
    return found


def predictions_of(record: Record, store: Store, name: str) -> Predictions:
    """Return an evaluation's predictions; nothing where there are none here."""
    step = next((done for done in record.steps if done.name == name), None)
    if step is None or "predictions" not in step.result.outputs:
        return {}
    folder = store.folder(step.result.outputs["predictions"])
    try:
        values = json.loads((folder / "values.json").read_bytes())
        return {str(value["id"]): value for value in values}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def rows_by_id(record: Record, store: Store) -> dict[str, dict[str, Any]]:
    """Return the validation rows by their ids; nothing where the store lost them."""
    try:
        table = rows_of(record, store, "split").table
    except (StoreError, InputError, StopIteration):
        return {}
    import pyarrow.compute as pc

    held = table.filter(pc.equal(table.column("split"), "validation"))
    return {row["id"]: row for row in held.to_pylist()}


def compared_items(
    sides: Mapping[str, Predictions], rows: Mapping[str, Mapping[str, Any]], one: str, other: str
) -> Iterator[Item]:
    """Yield the predictions of two sides row by row, marked by which of them are right."""
    ids = dict.fromkeys(row_id for made in sides.values() for row_id in made)
    for row_id in ids:
        row = rows.get(row_id, {})
        made = {side: found.get(row_id) for side, found in sides.items()}
        right = {side: _right(value) for side, value in made.items() if value is not None}
        texts = [
            asked(row),
            str(row.get("output", "")),
            *(_answer(value) for value in made.values()),
        ]
        yield row_id, _marks(right, one, other), [*texts, str(row.get("task", ""))]


def _marks(right: Mapping[str, bool | None], one: str, other: str) -> list[str]:
    last = right.get(other, right.get(one))
    if last is None:
        return []
    marks = ["right" if last else "wrong"]
    if one in right and other in right and right[one] != right[other]:
        marks.append("gained" if right[other] else "lost")
    return marks


def asked(row: Mapping[str, Any]) -> str:
    """Return what a row asks, for people."""
    if row.get("turns"):
        return "\n".join(f"{turn['role']}: {turn['text']}" for turn in row["turns"])
    return "\n".join(row[name] for name in FIELDS[:2] if row.get(name))


def _right(prediction: Mapping[str, Any]) -> bool | None:
    """Return whether a prediction has the full score of its first metric; None without one."""
    scores = {name: v for name, v in prediction.items() if isinstance(v, int | float)}
    if not scores:
        return None
    return bool(scores.get("exact_match", next(iter(scores.values()))) >= 1)


def _answer(prediction: Mapping[str, Any] | None) -> str:
    if prediction is None:
        return ""
    text = str(prediction.get("prediction", ""))
    return text if text else "(nothing)"


def _title(side: str) -> str:
    return NAMES.get(side, side).capitalize()


def drop_browser(plan: Plan, record: Record, store: Store) -> Browser | None:
    """Return rows that steps dropped, some of each reason; None where none was dropped."""
    lineage = Lineage(plan, record, store)
    pairs = [(step, reason) for step in lineage.steps_with_drops() for reason in _reasons(step)]
    total = sum(_reasons(step)[reason] for step, reason in pairs)
    if not total:
        return None
    each = min(EACH, max(5, DROPS // len(pairs)))
    items: list[Item] = []
    for step, reason in pairs:
        try:
            drops = list(islice(lineage.drops(step.name, reason), each))
        except StoreError:
            continue
        items += [_drop(step.name, drop) for drop in drops]
    labels = ["Step", "Detail", "Instruction", "Input", "Output"]
    return browser("drops", labels, items[:DROPS], total, "dropped rows")


def _reasons(step: RecordedStep) -> dict[str, int]:
    facts: Any = step.result.facts
    return dict(facts.get("drops") or {})


def _drop(step: str, drop: DroppedRow) -> Item:
    row = drop.row or {}
    return drop.id, [drop.reason], [step, drop.detail, *(str(row.get(name, "")) for name in FIELDS)]
