"""Observe a run: progress of its steps, and notices along the way."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from ..plugins.kinds import Progress
from ..schema.plan import Plan, PlanStep
from ..schema.record import RecordedStep


class Observer:
    """Receives the progress of a run. Override the methods of interest; by default all are silent.

    Methods are called in the process and thread that started the run. An exception that one
    raises stops the run; finished steps stay in the store.
    """

    def notice(self, text: str) -> None:
        """Receive a remark, such as a source that is being pinned or the cause of a cache miss."""

    def running(self, plan: Plan, log: Path | None, pending: int) -> AbstractContextManager[object]:
        """Return a context that the steps of a plan run in.

        Args:
            plan: the plan that runs.
            log: the file for the output of libraries; None where nothing is left to run.
            pending: how many steps have to run; the others are cached.
        """
        return nullcontext()

    def started(self, step: PlanStep) -> None:
        """Receive a step that starts."""

    def progress(self, step: PlanStep, progress: Progress) -> None:
        """Receive how far the running step is."""

    def finished(self, step: RecordedStep) -> None:
        """Receive a step that is done, with its result; `status` says whether it was cached."""
