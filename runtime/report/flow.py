"""How rows flowed: what each step was given, what it kept, and why it dropped the others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ...schema.plan import Plan
from ...schema.record import Record, RecordedStep
from .charts import Chart
from .sankey import Link, sankey

SETS = 12
"""Data sets with a band of their own; the others share one."""
REASONS = 10
"""Reasons with a band of their own, of the data sets and of the mixture each."""
KEPT, OTHER = "mixture", "other reasons"


@dataclass(frozen=True)
class StepFlow:
    """Rows in and out of a step, and how many it dropped by reason."""

    step: str
    given: int
    kept: int
    drops: dict[str, int]

    def cells(self) -> list[str]:
        """Return a row of the table of steps."""
        reasons = ", ".join(f"{reason} {count:,}" for reason, count in self.drops.items())
        return [self.step, f"{self.given:,}", f"{self.kept:,}", reasons]


def step_flows(record: Record) -> list[StepFlow]:
    """Return the steps that can drop rows, in the order of the run; benchmarks are not rows."""
    found = []
    for step in record.steps:
        facts = _facts(step)
        if "drops" in facts and not step.name.startswith("benchmarks/"):
            drops = dict(facts["drops"])
            found.append(StepFlow(step.name, facts["rows_in"], facts["rows_out"], drops))
    return found


def flow_chart(plan: Plan, record: Record) -> Chart:
    """Draw the rows from their data sets to training, with those that were dropped."""
    done = {step.name: step for step in record.steps}
    links = [*_from_sets(plan, done), *_from_mixture(done)]
    title = "Rows from their data sets to training, and why others were dropped"
    rows = [[link.source, link.target, f"{link.rows:,}"] for link in links]
    return Chart(title, sankey("flow", title, links), ["From", "To", "Rows"], rows, wide=True)


def _from_sets(plan: Plan, done: dict[str, RecordedStep]) -> Iterator[Link]:
    read, kept, drops = Counter[str](), Counter[str](), dict[str, Counter[str]]()
    for step in plan.steps:
        if not step.name.startswith("data/") or step.kind in ("source", "scorer"):
            continue
        name, facts = step.name.split("/")[1], _facts(done[step.name])
        if step.kind == "reader":
            read[name] = facts["rows_in"]
        kept[name] = facts["rows_out"]
        drops.setdefault(name, Counter()).update(facts.get("drops") or {})
    large = {name for name, _ in read.most_common(SETS)} if len(read) > SETS + 1 else set(read)
    total = sum(drops.values(), Counter[str]())
    named = {reason for reason, _ in total.most_common(REASONS)}
    made: Counter[tuple[str, str, bool]] = Counter()
    for name in sorted(read):
        own = name if name in large else f"{len(read) - len(large)} other data sets"
        made[own, KEPT, False] += kept[name]
        for reason, count in drops[name].items():
            made[own, reason if reason in named else OTHER, True] += count
    for (source, target, dropped), rows in made.items():
        yield Link(source, target, rows, dropped, 0)


def _from_mixture(done: dict[str, RecordedStep]) -> Iterator[Link]:
    if "mixture" not in done:
        return
    drops: Counter[str] = Counter()
    for name, step in done.items():
        if name.startswith("mixture/"):
            drops.update(_facts(step).get("drops") or {})
    if "split" in done:
        facts = _facts(done["split"])
        yield Link(KEPT, "training", facts["rows_out"], False, 1)
        if facts["held_out"]:
            yield Link(KEPT, "validation", facts["held_out"], False, 1)
    named = dict(drops.most_common(REASONS))
    for reason, count in named.items():
        yield Link(KEPT, reason, count, True, 1)
    rest = drops.total() - sum(named.values())
    if rest:
        yield Link(KEPT, OTHER, rest, True, 1)


def _facts(step: RecordedStep) -> dict[str, Any]:
    return dict(step.result.facts)
