"""Show the progress of a run: a line per finished step, and a bar for the running one."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from ..plugins.kinds import Progress as Reached
from ..schema.plan import Plan, PlanStep
from ..schema.printable import one_line
from ..schema.record import RecordedStep
from ..schema.secrets import mask
from .capture_output import capture_output
from .notices import Notices
from .output import duration, short
from .step_summary import described


class Display(Notices):
    """The observer of a run; silent with `--json` or `-q`, and only lines off a terminal."""

    def __init__(self, options: Namespace) -> None:
        super().__init__(options)
        self.width = 0
        self.console: Console | None = None
        self.bars: Progress | None = None
        self.task: TaskID | None = None
        self.step: PlanStep | None = None
        self.reached: Reached | None = None

    @contextmanager
    def running(self, plan: Plan, log: Path | None, pending: int) -> Iterator[None]:
        """Show the steps of a plan; redirect the output of libraries to the log."""
        self.width = max(len(step.name) for step in plan.steps)
        with capture_output(log) as screen:
            silent = self.silent or not pending
            self.console = Console(file=screen, quiet=silent, highlight=False, soft_wrap=True)
            self.bars = _bars(self.console)
            self.say(f"{plan.recipe}   recipe hash {short(plan.recipe_hash)}")
            try:
                with self.bars:
                    yield
            finally:
                self.console = self.bars = self.task = None

    def notice(self, text: str) -> None:
        """Print a line, above the bar where there is one."""
        if self.console is None:
            super().notice(text)
        else:
            self.say(text)

    def say(self, text: str) -> None:
        """Print a line above the bar."""
        if self.console is not None:
            self.console.print(one_line(mask(text)), markup=False)

    def started(self, step: PlanStep) -> None:
        """Show a bar for the step."""
        self.step, self.reached = step, None
        if self.bars is not None:
            self.task = self.bars.add_task(step.name.ljust(self.width), total=None, note="")

    def progress(self, step: PlanStep, reached: Reached) -> None:
        """Move the bar."""
        self.reached = reached
        if self.bars is not None and self.task is not None:
            self.bars.update(
                self.task,
                completed=reached.done,
                total=reached.total or None,
                note=escape(one_line(mask(_beside(reached)))),
            )

    def finished(self, step: RecordedStep) -> None:
        """Replace the bar by the step's line."""
        self.step = self.reached = None
        if self.bars is not None and self.task is not None:
            self.bars.remove_task(self.task)
            self.task = None
        took = "cached" if step.status == "cached" else duration(step.seconds)
        text = described(step.kind, step.result)
        self.say(f"  {step.name.ljust(self.width)}  {took.rjust(10)}  {text}")


def _bars(console: Console) -> Progress:
    return Progress(
        TextColumn("  {task.description}"),
        BarColumn(bar_width=20),
        TextColumn("{task.fields[note]}"),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=console.quiet or not console.is_terminal,
    )


def _beside(reached: Reached) -> str:
    """Return the text beside the bar."""
    count = f"{reached.done:,}" + (f"/{reached.total:,}" if reached.total else "")
    rate = f"  {reached.rate:,.0f} tok/s" if reached.rate else ""
    return f"{count} {reached.unit}  {reached.note}{rate}"
