"""Resolve how many optimizer steps lie between two evaluations, or two checkpoints."""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .batches import StepPlan


def interval(
    steps: int | float | None, per_epoch: int | None, plans: Sequence[StepPlan]
) -> int | None:
    """Return the steps between two events; None for one at each epoch's end.

    Args:
        steps: a number of steps; below 1, a share of all of them.
        per_epoch: events in an epoch, in place of `steps`.
        plans: every optimizer step.
    """
    if per_epoch is not None:
        in_an_epoch = next((p.step for p in plans if p.last_of_epoch), len(plans))
        return max(1, ceil(in_an_epoch / per_epoch))
    if steps is not None and steps < 1:
        return max(1, ceil(len(plans) * steps))
    return None if steps is None else int(steps)
