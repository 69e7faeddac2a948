"""Decide when a training ends before its last step, and report it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from .params import QloraParams


class Ending:
    """Watches the steps, the clock and the losses on held-out rows of one training.

    What stopped it is kept in checkpoints, so that a training killed while it wrote its adapter
    does not take another step. Time spent before a kill counts.
    """

    def __init__(
        self, params: QloraParams, total: int, agree: Callable[[bool], bool] = bool
    ) -> None:
        """Begin to watch.

        Args:
            params: what may end the training.
            total: optimizer steps of a whole training.
            agree: gives one answer to several processes, whose clocks differ.
        """
        self.params, self.total, self._agree = params, total, agree
        self.stopped: str | None = None
        self._began = time.monotonic()
        self._spent_before = 0.0
        self._longest_step = 0.0
        self._last_evaluation = 0.0

    # ---- time -------------------------------------------------------------------------------

    @property
    def spent(self) -> float:
        """Return the seconds spent on this training, here and before it was killed."""
        return self._spent_before + time.monotonic() - self._began

    def record_seconds(self, step: float, evaluation: float | None = None) -> None:
        """Record the seconds of a step, or of an evaluation after it."""
        self._longest_step = max(self._longest_step, step)
        if evaluation is not None:
            self._last_evaluation = evaluation

    def _out_of_time(self) -> bool:
        """Return whether another step, and the evaluation after it, might end too late."""
        if self.params.max_hours is None:
            return False
        ahead = self._longest_step + self._last_evaluation
        return self._agree(self.spent + ahead >= self.params.max_hours * 3600)

    # ---- decisions --------------------------------------------------------------------------

    def known(self) -> int | None:
        """Return how many steps training takes; None where clock or patience may end it before."""
        params = self.params
        open_ended = (
            params.max_hours or params.early_stopping_patience or params.loss_watchdog_threshold
        )
        return None if open_ended else min(self.total, self.params.stop_after_steps or self.total)

    def is_last(self, step: int, trace: Sequence[Mapping[str, Any]]) -> bool:
        """Return whether this step, just taken, is the last; asked once, before evaluating.

        Args:
            step: its number.
            trace: of every step up to it, with its loss.
        """
        if step == self.total:
            return True
        if step == self.params.stop_after_steps:
            self.stopped = "stop_after_steps"
        elif self._diverges(trace):
            self.stopped = "loss_watchdog_threshold"
        elif self._out_of_time():
            self.stopped = "max_hours"
        return self.stopped is not None

    def _diverges(self, trace: Sequence[Mapping[str, Any]]) -> bool:
        """Return whether the loss was too high for as many steps in a row as patience allows."""
        limit, patience = self.params.loss_watchdog_threshold, self.params.loss_watchdog_patience
        recent = [entry["loss"] for entry in trace[-patience:]]
        return limit is not None and len(recent) == patience and min(recent) > limit

    def has_learnt_enough(self, losses: Mapping[int, float]) -> bool:
        """Return whether the last evaluations, as many as patience allows, brought no improvement.

        Args:
            losses: on held-out rows by step, the newest last; step 0 is before training.
        """
        patience = self.params.early_stopping_patience
        after = [loss for step, loss in losses.items() if step > 0]
        if patience is None or self.stopped or not after:
            return False
        since_best = len(after) - 1 - after.index(min(after))
        if since_best < patience or max(losses) == self.total:
            return False
        self.stopped = "early_stopping_patience"
        return True

    # ---- state and words --------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """Return the state for a checkpoint."""
        return {"stopped": self.stopped, "spent": self.spent}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Resume from a checkpoint's state."""
        self.stopped = state["stopped"]
        self._spent_before = state["spent"]

    def reason(self, step: int) -> dict[str, Any] | None:
        """Return why and where the training stopped early; None where it took all its steps."""
        if self.stopped is None:
            return None
        found = {"by": self.stopped, "step": step, "of": self.total}
        if self.stopped == "max_hours":  # a clock stops nothing twice at the same step
            found["again"] = {"max_hours": None, "stop_after_steps": step}
        return found
