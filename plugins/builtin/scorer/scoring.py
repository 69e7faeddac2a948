"""Score a table part by part: resume from saved parts, share the others among workers.

The division into parts follows from the rows alone, and a part is one calculation on any process:
so the numbers are the same with any number of workers, and after any number of interruptions.
"""

from __future__ import annotations

import math
import os
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ALL_COMPLETED, FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing
from multiprocessing import get_context, parent_process
from typing import TYPE_CHECKING, Any

from khichdi.plugins.kinds import Progress, Scores
from khichdi.plugins.toolkit.tokenization import load_tokenizer
from khichdi.schema.errors import StepError

from .batches import Answerer, Found, Part, Setup, load_part
from .few_shot_prompts import Prompter

if TYPE_CHECKING:
    from khichdi.plugins.kinds import ScoringJob

    from .few_shot_params import FewShotParams

BATCHES = 8
"""Batches of a part at most: what a killed run loses of each worker."""


def score(params: FewShotParams, job: ScoringJob) -> Scores:
    """Score the rows; see `FewShot.score`."""
    if job.base is None or job.quantizer is None:
        raise StepError("a few-shot scorer needs the base model, and the plan names none")
    setup = Setup(params, job.base, job.quantizer, job.work)
    prompter = Prompter(params, load_tokenizer(job.base), job.seed)
    values: list[float | None] = [None] * job.rows.num_rows
    predictions: list[str | None] = [None] * job.rows.num_rows
    total, done, kept = prompter.count(job.rows), 0, 0
    start = time.monotonic()
    for part, found, earlier in _each(setup, _parts(prompter, job)):
        prompts = [prompt for batch in part for prompt in batch]
        for prompt, text, value in zip(prompts, found.predictions, found.values, strict=True):
            predictions[prompt.position], values[prompt.position] = text, value
        done += len(prompts)
        kept += len(prompts) * earlier
        rate = (done - kept) / max(1e-9, time.monotonic() - start)
        job.report(Progress(done, total, unit="rows", rate=rate))
    scored = [value for value in values if value is not None]
    mean = {params.metric.replace("-", "_"): math.fsum(scored) / len(scored)} if scored else {}
    return Scores(
        values,
        predictions,
        metrics={
            **mean,
            "prompts_with_fewer_shots": prompter.remarks.fewer_shots,
            "prompts_cut": prompter.remarks.cut,
        },
        measured={"rows_kept_from_earlier": kept},
    )


def _parts(prompter: Prompter, job: ScoringJob) -> Iterator[Part]:
    for batches in prompter.batches(job.rows):
        for first in range(0, len(batches), BATCHES):
            yield batches[first : first + BATCHES]


def _each(setup: Setup, parts: Iterator[Part]) -> Iterator[tuple[Part, Found, bool]]:
    """Yield each part with its results, and whether an earlier run had computed it."""
    if setup.params.workers > 1:
        yield from _shared_out(setup, parts)
        return
    with closing(Answerer(setup)) as answerer:
        for part in parts:
            kept = load_part(setup.work, part)
            yield part, kept or answerer.score(part), kept is not None


# ---- workers --------------------------------------------------------------------------------


def _shared_out(setup: Setup, parts: Iterator[Part]) -> Iterator[tuple[Part, Found, bool]]:
    workers = setup.params.workers
    # Spawned, not forked: a fork of a process with threads or a GPU may hang.
    context = get_context("spawn")
    arguments = (setup, context.Value("i", 0))
    pool = ProcessPoolExecutor(workers, context, _start_worker, arguments)
    running: dict[Future[Found], Part] = {}
    try:
        for part in parts:
            kept = load_part(setup.work, part)
            if kept is not None:
                yield part, kept, True
                continue
            running[pool.submit(_score_part, part)] = part
            # One part waits beside each that is worked on, and no more: prompts take memory.
            if len(running) >= 2 * workers:
                yield from _finished(running, FIRST_COMPLETED)
        yield from _finished(running, ALL_COMPLETED)
    except BrokenProcessPool as error:
        raise StepError(
            "a worker ended early, perhaps out of memory",
            hint="each worker holds a copy of the model: use fewer; finished parts are kept",
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _finished(running: dict[Future[Found], Part], until: str) -> Iterator[tuple[Part, Found, bool]]:
    for future in wait(running, return_when=until).done:
        yield running.pop(future), future.result(), False


_answerer: Answerer
"""A worker's model."""


def _start_worker(setup: Setup, started: Any) -> None:
    """Make a worker ready; it ends with the process that started it, however that ends."""
    global _answerer
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    with started.get_lock():
        number = started.value
        started.value += 1
    _answerer = Answerer(setup, number)
    parent = parent_process()

    def watch() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _score_part(part: Part) -> Found:
    return _answerer.score(part)
