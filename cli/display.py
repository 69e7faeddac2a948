"""Shows a run as it goes: a line per step, and a moving one for the step that runs now."""

from __future__ import annotations

from argparse import Namespace
from types import TracebackType
from typing import Self, TextIO

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from ..plugins.kinds import Progress as Reached
from ..schema.plan import Plan, PlanStep
from ..schema.printable import one_line
from ..schema.record import RecordedStep
from ..schema.secrets import mask
from .facts import described
from .output import duration, short


class Display:
    """The reporter of a run; says nothing with `--json` or `-q`, and only lines off a terminal."""

    def __init__(self, plan: Plan, screen: TextIO, options: Namespace, pending: int) -> None:
        self.plan = plan
        self.width = max(len(step.name) for step in plan.steps)
        self.silent = options.quiet or options.json or not pending
        self.verbose = options.verbose
        self.console = Console(file=screen, quiet=self.silent, highlight=False, soft_wrap=True)
        self.bars = Progress(
            TextColumn("  {task.description}"),
            BarColumn(bar_width=20),
            TextColumn("{task.fields[note]}"),
            TimeRemainingColumn(),
            console=self.console,
            transient=True,
            disable=self.silent or not self.console.is_terminal,
        )
        self.task: TaskID | None = None

    def __enter__(self) -> Self:
        plan = self.plan
        self.say(f"{plan.recipe}   recipe hash {short(plan.recipe_hash)}")
        self.bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.bars.stop()

    def say(self, text: str) -> None:
        """Print a line above what moves."""
        self.console.print(one_line(mask(text)), markup=False)

    def started(self, step: PlanStep) -> None:
        """Show a bar for the step."""
        name = step.name.ljust(self.width)
        self.task = self.bars.add_task(name, total=None, note="")

    def progress(self, step: PlanStep, reached: Reached) -> None:
        """Move the bar."""
        if self.task is not None:
            self.bars.update(
                self.task,
                completed=reached.done,
                total=reached.total or None,
                note=escape(one_line(mask(_beside(reached)))),
            )

    def finished(self, step: RecordedStep) -> None:
        """Replace the bar by the step's line."""
        if self.task is not None:
            self.bars.remove_task(self.task)
            self.task = None
        took = "cached" if step.status == "cached" else duration(step.seconds)
        text = described(step.kind, step.result)
        self.say(f"  {step.name.ljust(self.width)}  {took.rjust(10)}  {text}")


def _beside(reached: Reached) -> str:
    """Return what stands beside the bar."""
    count = f"{reached.done:,}" + (f"/{reached.total:,}" if reached.total else "")
    rate = f"  {reached.rate:,.0f} tok/s" if reached.rate else ""
    return f"{count} {reached.unit}  {reached.note}{rate}"
