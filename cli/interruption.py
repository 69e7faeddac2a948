"""Report where a run was interrupted, and the command that resumes it."""

from __future__ import annotations

import sys
from argparse import Namespace

from ..schema.printable import one_line
from ..schema.secrets import mask
from .display import Display

STATUS = 130
"""The exit status of an interrupted command."""


def report_interruption(display: Display, options: Namespace) -> int:
    """Print the step, its progress and the command, and return the exit status."""
    for line in (interruption(display), f"resume with: {options.command}"):
        print(one_line(mask(line)), file=sys.stderr)
    return STATUS


def interruption(display: Display) -> str:
    """Return where the steps of a run stand, and what of them is kept."""
    step, reached = display.step, display.reached
    if step is None:
        return "interrupted between steps; finished steps are kept"
    training = step.kind == "runtime"
    where = f"interrupted in `{step.name}`"
    if reached is not None and reached.done:
        of = f" of {reached.total:,}" if reached.total else ""
        unit = f"training {reached.unit}" if training else reached.unit
        where += f" after {reached.done:,}{of} {unit}"
    kept = "finished steps and checkpoints" if training else "finished steps"
    return f"{where}; {kept} are kept"
