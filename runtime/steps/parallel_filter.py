"""Run a filter in several processes where that pays off, always in row order.

The verdict of a stateless filter on a batch depends on that batch alone, so workers change no
result. How many processes may work is `KHICHDI_WORKERS`, else the number of cores.
"""

from __future__ import annotations

import os
import pickle
import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pyarrow as pa

from ...plugins.kinds import Drop, Editor, Filter, FilterInputs
from ...plugins.result_checks import check_edited, check_reasons
from ...plugins.side_effects import PluginError, SilentPluginError, watched
from ...schema.digest import draws
from ...schema.errors import InputError, KhichdiError, StepError
from ..tables import batches, read_table

VARIABLE = "KHICHDI_WORKERS"
PAYS = 10.0  # seconds of work left from which on starting processes is worth it
AHEAD = 3  # batches that wait for each process at most, so that memory stays bounded

Reasons = Sequence[str | Drop | None]
Answer = tuple[pa.RecordBatch, Reasons]
Words = tuple[str, str | None, str | int | None]


@dataclass(frozen=True)
class FilterJob:
    """Inputs of a worker process; tables are named, not sent.

    `seed` is of an editor that draws.
    """

    plugin: Filter[Any]
    rows: Path
    files: dict[str, Path]
    benchmarks: dict[str, Path]
    base: Path | None
    seed: int | None

    def begin(self) -> None:
        """Make the filter ready."""
        tables = {name: read_table(folder) for name, folder in self.benchmarks.items()}
        self.plugin.begin(FilterInputs(self.files, tables, self.base, read_table(self.rows)))

    def answer(self, batch: pa.RecordBatch) -> Answer:
        """Return the batch as edited, and the reason for each dropped row.

        Raises:
            PluginError: the filter failed, or did what filters may not; names the row.
        """
        try:
            return self._answer(batch)
        except (SilentPluginError, ModuleNotFoundError):
            raise
        except Exception as error:
            if isinstance(error, KhichdiError) and not isinstance(error, PluginError):
                raise  # the filter's own error
            raise self._named(batch, error) from error

    def _answer(self, batch: pa.RecordBatch) -> Answer:
        plugin = self.plugin
        with watched():
            after: Any = batch
            if isinstance(plugin, Editor):
                ids = batch.column("id").to_pylist()
                after = plugin.edit(batch, [] if self.seed is None else draws(self.seed, ids))
                check_edited(batch, after)
            reasons = plugin.reasons(after)
        check_reasons(reasons, after.num_rows)
        return after, reasons

    def _named(self, batch: pa.RecordBatch, error: Exception) -> PluginError:
        """Return an error as a fault that names its row.

        A filter that has no state is asked again about ever fewer rows. Of one that has, only
        the rows it was given are known.
        """
        ids = batch.column("id").to_pylist()
        if isinstance(error, PluginError):
            fault = error
        else:
            fault = PluginError(f"{type(error).__name__}: {error}")
        row: Any = fault.row
        if isinstance(row, int):
            row = ids[row]
        elif row is None:
            found = batch if self.plugin.stateful else self._narrowed(batch, type(error))
            row = found.column("id")[0].as_py()
            if found.num_rows > 1:
                row = f"{row} or one of the {found.num_rows - 1:,} after it"
        return PluginError(fault.message, row=row, hint=fault.hint)

    def _narrowed(self, batch: pa.RecordBatch, kind: type[Exception]) -> pa.RecordBatch:
        """Return the smallest part of a batch found on which the filter fails in the same way."""
        while batch.num_rows > 1:
            half = batch.num_rows // 2
            for part in (batch.slice(0, half), batch.slice(half)):
                try:
                    self._answer(part)
                except kind:
                    batch = part
                    break
                except Exception:
                    continue
            else:
                break
        return batch


def workers() -> int:
    """Return how many processes may work.

    Raises:
        InputError: the environment variable is not a whole number above 0.
    """
    text = os.environ.get(VARIABLE, "").strip()
    if not text:
        return (
            len(os.sched_getaffinity(0))
            if hasattr(os, "sched_getaffinity")
            else os.cpu_count() or 1
        )
    if not text.isdecimal() or int(text) < 1:
        raise InputError(
            f"{VARIABLE} is `{text}`; a whole number from 1 on was expected",
            hint=f"unset {VARIABLE} to use every core",
        )
    return int(text)


def answers(job: FilterJob) -> Iterator[tuple[pa.RecordBatch, Answer]]:
    """Yield every batch with its answer, in row order.

    Work begins in this process. When the time that batches took says that the rest will take
    long, it goes to several.
    """
    allowed = 1 if job.plugin.stateful else workers()
    all_batches = list(batches(job.rows))
    job.begin()
    spent = 0.0
    for number, batch in enumerate(all_batches):
        left = len(all_batches) - number
        if allowed > 1 and number and left > 1 and spent / number * left >= PAYS:
            sent = _packed(job)
            if sent is not None:
                yield from _shared_out(sent, all_batches, number, min(allowed, left))
                return
            allowed = 1
        start = time.monotonic()
        answer = job.answer(batch)
        spent += time.monotonic() - start
        yield batch, answer


def _packed(job: FilterJob) -> bytes | None:
    """Return the job as bytes, with a filter as it was made; None where it cannot be sent."""
    fresh = type(job.plugin)(job.plugin.params)
    try:
        return pickle.dumps(
            FilterJob(fresh, job.rows, job.files, job.benchmarks, job.base, job.seed)
        )
    except (pickle.PicklingError, AttributeError, TypeError):
        return None


def _shared_out(
    sent: bytes, all_batches: Sequence[pa.RecordBatch], first: int, count: int
) -> Iterator[tuple[pa.RecordBatch, Answer]]:
    # Fresh processes: a fork of one with threads, such as torch's, may hang.
    pool = ProcessPoolExecutor(
        count, mp_context=get_context("spawn"), initializer=_start, initargs=(sent,)
    )
    try:
        waiting: deque[tuple[int, Future[Any]]] = deque()
        following = iter(range(first, len(all_batches)))
        while True:
            while len(waiting) < count * AHEAD and (number := next(following, None)) is not None:
                waiting.append((number, pool.submit(_answer, number)))
            if not waiting:
                break
            number, future = waiting.popleft()
            after, reasons = _opened(future.result())
            before = all_batches[number]
            yield before, (before if after is None else after, reasons)
    except BrokenProcessPool as error:
        raise StepError(
            f"one of {count} worker processes died",
            hint=f"memory may have run out: try with {VARIABLE}=1",
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


# ---- in a worker process --------------------------------------------------------------------

_job: FilterJob | None = None
_batches: Sequence[pa.RecordBatch] = ()
_error: Words | None = None


def _start(sent: bytes) -> None:
    """Make ready; a thread each, for there are as many processes as cores."""
    global _job, _batches, _error
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = "1"
    _job = pickle.loads(sent)
    _batches = list(batches(_job.rows))
    try:
        _job.begin()
    except KhichdiError as error:
        _error = _words(error)


def _answer(number: int) -> Any:
    """Return the edited batch if there is one, and the reasons; or what went wrong, as words."""
    assert _job is not None
    if _error is not None:
        return _error
    try:
        after, reasons = _job.answer(_batches[number])
    except KhichdiError as error:
        return _words(error)
    return [after if isinstance(_job.plugin, Editor) else None, list(reasons)]


def _opened(answer: Any) -> tuple[pa.RecordBatch | None, Reasons]:
    if isinstance(answer, tuple):
        message, hint, row = answer
        raise PluginError(message, hint=hint, row=row)
    return answer[0], answer[1]


def _words(error: KhichdiError) -> Words:
    return error.message, error.hint, getattr(error, "row", None)
