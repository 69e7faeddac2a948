"""Launch the training processes of this machine, and stop all when one fails.

Nothing here loads torch before a process of its own needs it, so that they load it side by side.
"""

from __future__ import annotations

import logging
import os
import pickle
import signal
import tempfile
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from khichdi.plugins.kinds import Launch, Progress, TrainingJob, TrainingResult, ignore_progress
from khichdi.schema.errors import KhichdiError, StepError

from .rendezvous import Meeting, News, host, place

if TYPE_CHECKING:
    from ..params import QloraParams

log = logging.getLogger("khichdi")

ORDERS = "orders.pickle"
GRACE = 3.0
"""Grace period for further error reports: the first failure is rarely the root cause."""

AGAIN = "the next run resumes from the last checkpoint"

GONE, REFUSED, FAULT, CUT_OFF = range(4)
"""Errors of processes, the likeliest cause of the others first."""


@dataclass(frozen=True)
class Failure:
    """Why a process gave up: one of the words above, a message, a hint, and its traceback."""

    kind: int
    message: str
    hint: str | None = None
    trace: str = ""


@dataclass(frozen=True)
class Orders:
    """The instructions for every process of this machine."""

    params: QloraParams
    job: TrainingJob
    launch: Launch
    meeting: Meeting


def launch(params: QloraParams, job: TrainingJob, launch: Launch) -> TrainingResult:
    """Train over several processes; see `Runtime.train`.

    Raises:
        StepError: a process failed; all are ended, and the error names it and its step.
    """
    _check_devices(launch)
    with tempfile.TemporaryDirectory(prefix="khichdi-launch-") as name, host(launch) as news:
        told = replace(job, report=ignore_progress, launch=None)
        orders = Orders(params, told, launch, place(launch, Path(name)))
        with _written(orders) as path, _started(launch, path) as crew:
            result = crew.result(job, news)
        news.done()
        return result


@contextmanager
def _written(orders: Orders) -> Iterator[Path]:
    """Write the orders to the work folder, where the next run finds and removes leftovers."""
    path = orders.job.work / ORDERS
    try:
        data = pickle.dumps(orders)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise StepError(
            f"the job cannot be sent to other processes: {error}",
            hint="a plugin for several processes is a class of a module that can be imported; "
            "leave --launch out",
        ) from error
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)


def _check_devices(launch: Launch) -> None:
    import torch

    found = torch.cuda.device_count() if torch.cuda.is_available() else None
    if found is not None and launch.processes > found:
        raise StepError(
            f"{launch.processes} processes were asked for, and this machine has {found} "
            f"GPU{'s' * (found > 1)}",
            hint=f"--launch {found}: each process needs its own GPU",
        )


@contextmanager
def _started(launch: Launch, orders: Path) -> Iterator[Crew]:
    """Start this machine's processes; whatever happens, none is left behind."""
    context = get_context("spawn")
    crew = Crew(launch)
    try:
        for local in range(launch.processes):
            ours, theirs = context.Pipe()
            process = context.Process(target=work, args=(orders, local, theirs), daemon=True)
            process.start()
            theirs.close()
            crew.add(process, ours)
        yield crew
    finally:
        crew.end()


class Crew:
    """The processes of this machine, and their messages."""

    def __init__(self, launch: Launch) -> None:
        self.launch = launch
        self._processes: list[Any] = []
        self._channels: list[Connection] = []
        self._steps: list[Progress | None] = []
        self._failures: dict[int, Failure] = {}
        self._results: dict[int, TrainingResult | None] = {}

    def add(self, process: Any, channel: Connection) -> None:
        """Add a process that was started."""
        self._processes.append(process)
        self._channels.append(channel)
        self._steps.append(None)

    def result(self, job: TrainingJob, news: News) -> TrainingResult:
        """Wait for all; report the progress of the first.

        Raises:
            StepError: one failed, here or on another machine.
        """
        while self._waiting() and not self._failures:
            self._hear(1.0, job.report)
            if other := news.failure():
                raise _elsewhere(other)
        if self._failures:
            while self._waiting() and self._hear(GRACE, ignore_progress):
                pass
            self._raise(news)
        result = self._results[0]
        assert result is not None
        return result

    def end(self) -> None:
        """End those that still run."""
        for process in self._processes:
            process.terminate()
        for process, channel in zip(self._processes, self._channels, strict=True):
            process.join(5)
            if process.exitcode is None:
                process.kill()
                process.join()
            channel.close()

    # ---- messages ---------------------------------------------------------------------------

    def _waiting(self) -> dict[Connection, int]:
        """Return the channels of those that have not ended, with their numbers."""
        heard = self._failures.keys() | self._results.keys()
        return {c: local for local, c in enumerate(self._channels) if local not in heard}

    def _hear(self, seconds: float, report: Callable[[Progress], None]) -> bool:
        """Take a message of each that has one; return whether any had."""
        waiting = self._waiting()
        ready = [waiting[channel] for channel in wait(list(waiting), seconds)]  # type: ignore[index]
        for local in ready:
            try:
                kind, content = self._channels[local].recv()
            except (EOFError, OSError):
                kind, content = "failed", self._death(local)
            if kind == "progress":
                self._steps[local] = content
                if local == 0:
                    report(content)
            elif kind == "done":
                self._results[local] = content
            else:
                self._failures[local] = content
        return bool(ready)

    def _death(self, local: int) -> Failure:
        """Return how a process ended that reported nothing."""
        process = self._processes[local]
        process.join(5)
        code = process.exitcode
        if code is None or code >= 0:
            return Failure(GONE, f"ended with status {code}, and said nothing")
        name = signal.Signals(-code).name
        hint = "the system ends what takes too much memory so" if name == "SIGKILL" else None
        return Failure(GONE, f"was ended by {name}", hint)

    def _raise(self, news: News) -> NoReturn:
        """Raise the error of the process that failed first, as far as that is known."""
        for other, said in self._failures.items():
            if said.trace:
                log.error("process %s of this machine failed\n%s", other, said.trace)
        local, failure = min(self._failures.items(), key=lambda item: (item[1].kind, item[0]))
        if failure.kind == CUT_OFF and (cause := news.failure(GRACE)):
            raise _elsewhere(cause)
        rank = self.launch.node * self.launch.processes + local
        seen = [progress for progress in self._steps if progress is not None]
        done = max((progress.done for progress in seen), default=None)
        where = "before its first step" if done is None else f"after step {done}"
        message = f"rank {rank} of {self.launch.size}, {where}: {failure.message}"
        news.tell(message)
        raise StepError(message, hint=f"{failure.hint}; {AGAIN}" if failure.hint else AGAIN)


def _elsewhere(cause: str) -> StepError:
    return StepError(cause, hint=f"see that machine; {AGAIN}")


# ---- in a process of its own ----------------------------------------------------------------


def work(orders: Path, local: int, channel: Connection) -> None:
    """Train as one of the processes, and report the outcome."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the one that started us ends us
    threading.Thread(target=_end_with_parent, args=(channel,), daemon=True).start()
    try:
        result = _train(pickle.loads(orders.read_bytes()), local, channel)
    except BaseException as error:
        channel.send(("failed", _failure(error)))
        os._exit(1)  # without waiting for those who wait for us
    channel.send(("done", result))


def _train(orders: Orders, local: int, channel: Connection) -> TrainingResult | None:
    """Return the result, which the first of each machine gives."""
    from ..run import run
    from .world import joined

    job = replace(orders.job, report=lambda progress: channel.send(("progress", progress)))
    with joined(orders.launch, local, orders.meeting) as processes:
        result = run(orders.params, job, processes)
    return result if local == 0 else None


def _failure(error: BaseException) -> Failure:
    """Return an error to report: some only follow from another process's end."""
    trace = "".join(traceback.format_exception(error))
    if isinstance(error, KhichdiError):
        return Failure(REFUSED, error.message, error.hint, trace)
    text = str(error).splitlines()[0] if str(error) else ""
    kind = CUT_OFF if "gloo" in text or type(error).__name__.startswith("Dist") else FAULT
    hint = "see the log" if kind == FAULT else "another process has gone, or cannot be reached"
    return Failure(kind, f"{type(error).__name__}: {text}", hint, trace)


def _end_with_parent(channel: Connection) -> None:
    """End this process when the one that started it is gone."""
    try:
        channel.recv()
    except (EOFError, OSError):
        os._exit(1)
