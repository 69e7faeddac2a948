"""Predictions and dropped rows of a run, to browse in its page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from ...schema.errors import StoreError
from ...schema.plan import Plan
from ...schema.record import Record, RecordedStep
from ..row_lineage import DroppedRow, Lineage
from ..store.store import Store
from .browsing import Browser, Item, browser

DROPS = 4_000
"""Dropped rows in a page, at most."""
EACH = 150
"""Dropped rows of one step and reason, at most."""
FIELDS = ("instruction", "input", "output")
NAMES = {"base": "Base model", "adapter": "Trained model"}


@dataclass(frozen=True)
class Answer:
    """What a model answered to a prompt of an evaluation.

    Attributes:
        id: the row.
        prompt: what was asked.
        references: every acceptable answer.
        prediction: the answer.
        right: whether it has the whole score; None where no score says so.
        group: the task, of an evaluator that has several; else empty.
    """

    id: str
    prompt: str
    references: Sequence[str]
    prediction: str
    right: bool | None
    group: str = ""


Sides = Mapping[str, Sequence[Answer]]
"""The answers of an evaluation by the model that gave them."""


def prediction_browsers(evaluations: Mapping[str, Sides]) -> list[Browser]:
    """Return the predictions of each evaluator, before and after training side by side."""
    found = []
    for number, (name, sides) in enumerate(evaluations.items(), 1):
        items = list(compared_items(sides, "base", "adapter"))
        labels = ["Asked", "Expected", *(NAMES.get(side, side) for side in sides), "Task"]
        what = f"predictions of {name}"
        found.append(browser(f"predictions-{number}", labels, items, len(items), what))
    return found


def compared_items(sides: Sides, one: str, other: str) -> Iterator[Item]:
    """Yield the predictions of models row by row, marked by which of two are right."""
    made = {side: {(a.group, a.id): a for a in answers} for side, answers in sides.items()}
    for key in dict.fromkeys(key for found in made.values() for key in found):
        there = {side: found[key] for side, found in made.items() if key in found}
        any_ = next(iter(there.values()))
        answers = [_said(there.get(side)) for side in sides]
        texts = [any_.prompt, "\n".join(any_.references), *answers, any_.group]
        yield any_.id, _marks(there, one, other), texts


def _marks(there: Mapping[str, Answer], one: str, other: str) -> list[str]:
    right = {side: answer.right for side, answer in there.items()}
    last = right.get(other, right.get(one))
    if last is None:
        return []
    marks = ["right" if last else "wrong"]
    if None not in (right.get(one), right.get(other)) and right[one] != right[other]:
        marks.append("gained" if right[other] else "lost")
    return marks


def _said(answer: Answer | None) -> str:
    return "" if answer is None else answer.prediction or "(nothing)"


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
