"""Compare two recipes or runs by meaning: changes, steps that rerun, effects, outcomes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..compiler.diff import Change, changes, other_bytes, other_versions
from ..compiler.invalidation import dropped, reruns
from .diff_operands import Operand
from .run_comparison import compare_runs


@dataclass(frozen=True)
class Difference:
    """The difference between two recipes or runs.

    Attributes:
        changes: values, bytes and plugin versions that differ.
        reruns: steps of the second that run again, each with the cause.
        dropped: steps of the first that the second does not have.
        before: rows, tokens, steps, memory and time of the first, as far as known.
        after: the same of the second.
        outcome: differences of results, where both are runs.
        steps: how many steps the second has.
    """

    changes: list[Change]
    reruns: dict[str, str]
    dropped: list[str]
    before: dict[str, Any]
    after: dict[str, Any]
    outcome: dict[str, Any] | None
    steps: int

    @property
    def same(self) -> bool:
        """Whether nothing differs in meaning, nor in outcome."""
        return not self.changes and (self.outcome is None or self.outcome["same"])


def difference(one: Operand, other: Operand, device: str | None = None) -> Difference:
    """Compare two operands; sizes and costs are estimated for the device."""
    one, other = one.pinned_like(other), other.pinned_like(one)
    found = changes(one.recipe, other.recipe)
    found += other_bytes(one.plan, other.plan) + other_versions(one.plan, other.plan)
    outcome = compare_runs(one.record, other.record) if one.record and other.record else None
    return Difference(
        found,
        reruns(one.plan, other.plan) if found else {},
        dropped(one.plan, other.plan) if found else [],
        one.known(device),
        other.known(device),
        outcome,
        len(other.plan.steps),
    )
