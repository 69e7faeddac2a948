"""The thread that has the model: it answers requests one after another, from a bounded queue."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass, field, replace
from typing import Any

from ...plugins.toolkit.answer_text import Piece
from ...runtime.inference import RunModel
from ...schema.errors import KhichdiError
from .challenge import Task
from .protocol import ApiError, Request

log = logging.getLogger("khichdi")

STOPS = "the server stops"
TICK = 0.2
"""Seconds after which an idle thread looks whether it is to stop."""


@dataclass(frozen=True)
class Accepted:
    """The first event of a request: its prompts can be answered; how many tokens they have."""

    tokens: int


@dataclass(frozen=True)
class Done:
    """The only event of a task: its response."""

    document: dict[str, Any]


Event = Accepted | tuple[int, Piece] | Done | ApiError
"""What the thread says of a request: accepted, a piece of an answer by its index, the response to
a task, or an error."""


@dataclass
class Job:
    """A request in the queue.

    Attributes:
        request: the request.
        say: called from the thread with each event; the last is the last piece, or an error.
        gone: set when nobody waits for the answer any more.
    """

    request: Request | Task
    say: Callable[[Event], None]
    gone: threading.Event = field(default_factory=threading.Event)


class Worker:
    """Loads a model in a thread of its own, and answers by it until it is stopped.

    Answers are computed one at a time: so each is the same, whatever else is asked for.

    Args:
        load: returns the context of the model; entered and left in the thread.
        waiting: how many requests may wait.
        new_tokens: tokens of an answer where a request leaves it open.
    """

    def __init__(
        self, load: Callable[[], AbstractContextManager[RunModel]], waiting: int, new_tokens: int
    ) -> None:
        self._load = load
        self._jobs: queue.Queue[Job] = queue.Queue(waiting)
        self._new_tokens = new_tokens
        self._closed = threading.Event()
        self._stop = threading.Event()
        self._loaded: Future[None] = Future()
        self._thread = threading.Thread(target=self._work, name="model", daemon=True)

    def start(self) -> None:
        """Load the model; return when it is there.

        Raises:
            KhichdiError: it cannot be loaded.
        """
        self._thread.start()
        self._loaded.result()

    def close(self) -> None:
        """Refuse what waits and what comes; the answer in progress continues."""
        self._closed.set()
        while True:
            try:
                self._jobs.get_nowait().say(ApiError(503, STOPS))
            except queue.Empty:
                return

    def halt(self) -> None:
        """End the answer in progress too, at its next token."""
        self._stop.set()
        self.close()

    def stop(self, patience: float = 10.0) -> None:
        """Halt, and wait until the model is released."""
        self.halt()
        if self._thread.is_alive():
            self._thread.join(patience)

    def put(self, job: Job) -> None:
        """Queue a request.

        Raises:
            ApiError: too many wait, or the server stops.
        """
        if self._closed.is_set():
            raise ApiError(503, STOPS)
        try:
            self._jobs.put_nowait(job)
        except queue.Full:
            raise ApiError(
                429, f"{self._jobs.maxsize} requests wait already: ask again later"
            ) from None
        if self._closed.is_set():  # since it was put there, and nobody may have seen it
            self.close()

    def _work(self) -> None:
        try:
            with self._load() as model:
                self._loaded.set_result(None)
                while not self._closed.is_set():
                    try:
                        job = self._jobs.get(timeout=TICK)
                    except queue.Empty:
                        continue
                    self._answer(model, job)
        except BaseException as error:
            if self._loaded.done():
                log.error("the model's thread ended: %s: %s", type(error).__name__, error)
            else:
                self._loaded.set_exception(error)
        finally:
            self.halt()

    def _answer(self, model: RunModel, job: Job) -> None:
        """Answer one request; whatever is wrong with it ends it alone."""
        try:
            if isinstance(job.request, Request):
                self._pieces(model, job, job.request)
            else:
                self._task(model, job, job.request)
        except KhichdiError as error:
            job.say(ApiError.of(error))
        except Exception as error:
            job.say(ApiError(500, f"the model failed: {type(error).__name__}"))

    def _task(self, model: RunModel, job: Job, task: Task) -> None:
        if job.gone.is_set():
            return
        found = task.answer(model, lambda: not (job.gone.is_set() or self._stop.is_set()))
        job.say(ApiError(503, STOPS) if self._stop.is_set() else Done(found))

    def _pieces(self, model: RunModel, job: Job, request: Request) -> None:
        if job.gone.is_set():
            return
        wanted = request.sampling.max_new_tokens
        prompts: list[tuple[list[int], Any]] = []
        for prompt in request.prompts:
            ids = model.encode(prompt)
            model.check_room(ids, wanted or 1)
            room = self._new_tokens if model.room is None else model.room - len(ids)
            tokens = wanted or min(self._new_tokens, room)
            prompts.append((ids, replace(request.sampling, max_new_tokens=tokens)))
        job.say(Accepted(sum(len(ids) for ids, _ in prompts)))
        for index, (ids, sampling) in enumerate(prompts):
            # Closed where it is left, so that the adapter is on again for the next request.
            with closing(model.stream(ids, sampling, base=request.base)) as pieces:  # type: ignore[type-var]
                for piece in pieces:
                    if job.gone.is_set():
                        return
                    if self._stop.is_set():
                        job.say(ApiError(503, STOPS))
                        return
                    job.say((index, piece))
