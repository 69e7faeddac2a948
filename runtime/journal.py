"""The journal of a run in progress: which step runs, how far it is, and why it stopped.

`journal.jsonl` in the run's folder has one event a line. It is for those who watch: no hash covers
it, nothing is derived from it, and it is removed once the record is written. The process that runs
holds a lock on it, so that a run that was killed is told from one that goes on.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import math
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, TextIO

from ..plugins.kinds import Progress
from ..schema.errors import KhichdiError
from ..schema.plan import Plan, PlanStep
from ..schema.record import RecordedStep
from ..schema.secrets import mask
from .execute import Reporter

JOURNAL = "journal.jsonl"
GAP, SHARE = 0.5, 1000
"""Seconds between two events of progress: at least `GAP`, and a `SHARE`th of the step's time, so
that the journal of a long step grows with the logarithm of its time."""
LARGEST = 16 << 20
"""Bytes of a journal that are read; one that is longer was not written here."""
FIGURE = re.compile(r"([A-Za-z][\w ]*?) (-?\d+(?:\.\d+)?(?:e[+-]?\d+)?)")
"""A figure in the note of an event of progress, such as `loss 4.088`."""

Status = Literal["running", "failed", "interrupted"]


# ---- writing ----------------------------------------------------------------------------------


@contextlib.contextmanager
def journaled(
    folder: Path | None, plan: Plan, started: datetime, reporter: Reporter
) -> Iterator[Reporter]:
    """Keep a journal of the steps that run in the context; remove it where all went well.

    Args:
        folder: the run's folder; None where every step is cached, and there is nothing to watch.
        plan: the plan that runs.
        started: when the run started.
        reporter: told of everything as well.
    """
    if folder is None:
        yield reporter
        return
    try:
        file = (folder / JOURNAL).open("a", encoding="utf-8")
    except OSError:  # watching is no reason to stop a run
        yield reporter
        return
    with file:
        with contextlib.suppress(OSError):  # a file system without locks
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        journal = _Journal(file, reporter)
        journal.write("start", **_head(plan, started))
        try:
            yield journal
        except BaseException as error:
            journal.write("stop", **_cause(error))
            raise
        with contextlib.suppress(OSError):
            (folder / JOURNAL).unlink()


def _head(plan: Plan, started: datetime) -> dict[str, Any]:
    return {
        "recipe": plan.recipe,
        "recipe_hash": plan.recipe_hash,
        "started": started.isoformat(timespec="seconds"),
        "steps": [
            {"name": step.name, "kind": step.kind, "plugin": step.plugin.name}
            for step in plan.steps
        ],
    }


def _cause(error: BaseException) -> dict[str, Any]:
    if isinstance(error, KeyboardInterrupt):
        return {"status": "interrupted"}
    hint = error.hint if isinstance(error, KhichdiError) else None
    message = (
        error.message if isinstance(error, KhichdiError) else f"{type(error).__name__}: {error}"
    )
    return {"status": "failed", "message": mask(message), "hint": hint and mask(hint)}


class _Journal:
    """Writes events, and passes them on."""

    def __init__(self, file: TextIO, reporter: Reporter) -> None:
        self._file = file
        self._reporter = reporter
        self._began = self._last = 0.0

    def write(self, event: str, **more: Any) -> None:
        """Append an event; a full disk is the run's to report."""
        line = json.dumps({"event": event, "at": round(time.time(), 2), **more}, ensure_ascii=False)
        with contextlib.suppress(OSError):
            self._file.write(f"{line}\n")
            self._file.flush()

    def started(self, step: PlanStep) -> None:
        """Write that a step runs now."""
        self._began = time.monotonic()
        self._last = 0.0
        self.write("started", step=step.name)
        self._reporter.started(step)

    def progress(self, step: PlanStep, progress: Progress) -> None:
        """Write how far it is, where enough time has passed since that was last written."""
        now = time.monotonic()
        if now - self._last >= max(GAP, (now - self._began) / SHARE):
            self._last = now
            self.write(
                "progress", step=step.name, done=progress.done, total=progress.total,
                unit=progress.unit, rate=progress.rate, note=mask(progress.note),
            )  # fmt: skip
        self._reporter.progress(step, progress)

    def finished(self, step: RecordedStep) -> None:
        """Write that a step is done."""
        self.write("finished", step=step.name, status=step.status, seconds=step.seconds)
        self._reporter.finished(step)


# ---- reading ----------------------------------------------------------------------------------


@dataclass
class WatchedStep:
    """A step of an unfinished run.

    Attributes:
        status: `waiting`, `running`, `ran`, `cached`, or `stopped` where the run ended in it.
        seconds: how long it took, or runs.
        done: how far it is, of `total`; 0 of 0 where it does not say.
        note: what it says beside.
    """

    name: str
    kind: str
    plugin: str
    status: str = "waiting"
    seconds: float | None = None
    done: int = 0
    total: int = 0
    unit: str = ""
    rate: float | None = None
    note: str = ""

    @property
    def share(self) -> float | None:
        """How much of the step is done, from 0 to 1; None where it does not say."""
        return min(1.0, self.done / self.total) if self.total > 0 else None


@dataclass
class Watched:
    """An unfinished run, as its journal has it.

    Attributes:
        status: `running`, `failed`, or `interrupted`, by a person or a kill.
        recipe: the recipe's name.
        recipe_hash: the digest of what it is to do.
        started: when it started, in ISO 8601.
        steps: the plan's steps in order.
        message: why it failed.
        hint: what to do about it.
        figures: by name, the figures of the step that runs or ran last: (how far it was, value).
    """

    status: Status
    recipe: str = ""
    recipe_hash: str = ""
    started: str = ""
    steps: list[WatchedStep] = field(default_factory=list)
    message: str | None = None
    hint: str | None = None
    figures: dict[str, list[tuple[float, float]]] = field(default_factory=dict)

    @property
    def current(self) -> WatchedStep | None:
        """The step that runs, or that the run stopped in."""
        return next((step for step in self.steps if step.status in ("running", "stopped")), None)

    @property
    def done(self) -> int:
        """How many steps are done."""
        return sum(step.status in ("ran", "cached") for step in self.steps)


def watch(folder: Path, now: float | None = None) -> Watched | None:
    """Return an unfinished run by its journal; None where it has none that can be read.

    Args:
        folder: the run's folder.
        now: the time, in seconds since 1970; left out, the clock's.
    """
    try:
        with (folder / JOURNAL).open(encoding="utf-8", errors="replace") as file:
            alive = _locked(file)
            lines = file.read(LARGEST).splitlines()
    except OSError:
        return None
    found = _Reader(alive, time.time() if now is None else now)
    for line in lines:
        with contextlib.suppress(ValueError, TypeError, KeyError, OverflowError, RecursionError):
            found.take(json.loads(line))
    return found.end()


def _locked(file: TextIO) -> bool:
    """Return whether a process holds the journal's lock."""
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    fcntl.flock(file, fcntl.LOCK_UN)
    return False


class _Reader:
    """Takes the events of a journal one after another; a line that is damaged changes nothing."""

    def __init__(self, alive: bool, now: float) -> None:
        self.found = Watched("running" if alive else "interrupted")
        self.steps: dict[str, WatchedStep] = {}
        self.began: dict[str, float] = {}
        self.last = self.now = now
        self.alive = alive

    def take(self, event: dict[str, Any]) -> None:
        """Take an event; an exception leaves what was taken before as it is."""
        what = event["event"]
        self.last = float(event["at"])
        if what == "start":
            self._start(event)
        elif what == "stop":
            self.found.status = "failed" if event["status"] == "failed" else "interrupted"
            self.found.message, self.found.hint = (
                str(event[key]) if event.get(key) else None for key in ("message", "hint")
            )
        else:
            self._step(what, self.steps[event["step"]], event)

    def _start(self, event: dict[str, Any]) -> None:
        found = self.found
        found.recipe, found.recipe_hash, found.started = (
            str(event[key]) for key in ("recipe", "recipe_hash", "started")
        )
        found.steps = [
            WatchedStep(str(step["name"]), str(step["kind"]), str(step["plugin"]))
            for step in event["steps"]
        ]
        self.steps = {step.name: step for step in found.steps}

    def _step(self, what: str, step: WatchedStep, event: dict[str, Any]) -> None:
        if what == "started":
            step.status, self.found.figures = "running", {}
            self.began[step.name] = self.last
        elif what == "progress":
            step.done, step.total = int(event["done"]), int(event["total"])
            step.unit, step.note = str(event["unit"]), str(event["note"])
            step.rate = None if event["rate"] is None else float(event["rate"])
            for name, value in FIGURE.findall(step.note):
                if math.isfinite(float(value)):
                    self.found.figures.setdefault(name, []).append((step.done, float(value)))
        elif what == "finished":
            step.status = "cached" if event["status"] == "cached" else "ran"
            step.seconds = float(event["seconds"])

    def end(self) -> Watched | None:
        """Return the run; None where no event says what runs."""
        if not self.steps:
            return None
        for name, began in self.began.items():
            step = self.steps[name]
            if step.status == "running":
                step.seconds = max(0.0, (self.now if self.alive else self.last) - began)
                step.status = "running" if self.found.status == "running" else "stopped"
        return self.found
