"""The thread that has the model: it answers requests one after another, from a bounded queue."""

from __future__ import annotations

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
from .protocol import ApiError, Request

TICK = 0.2
"""Seconds after which an idle thread looks whether it is to stop."""


@dataclass(frozen=True)
class Accepted:
    """The first event of a request: its prompts can be answered; how many tokens they have."""

    tokens: int


Event = Accepted | tuple[int, Piece] | ApiError
"""What the thread says of a request: accepted, a piece of an answer by its index, or an error."""


@dataclass
class Job:
    """A request in the queue.

    Attributes:
        request: the request.
        say: called from the thread with each event; the last is the last piece, or an error.
        gone: set when nobody waits for the answer any more.
    """

    request: Request
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

    def stop(self, patience: float = 10.0) -> None:
        """End the answer in progress, refuse what waits, and release the model."""
        self._stop.set()
        self._thread.join(patience)

    def put(self, job: Job) -> None:
        """Queue a request.

        Raises:
            ApiError: too many wait, or the server stops.
        """
        if self._stop.is_set() or not self._thread.is_alive():
            raise ApiError(503, "the server stops")
        try:
            self._jobs.put_nowait(job)
        except queue.Full:
            raise ApiError(
                429, f"{self._jobs.maxsize} requests wait already: ask again later"
            ) from None

    def _work(self) -> None:
        try:
            with self._load() as model:
                self._loaded.set_result(None)
                while not self._stop.is_set():
                    try:
                        job = self._jobs.get(timeout=TICK)
                    except queue.Empty:
                        continue
                    self._answer(model, job)
        except BaseException as error:
            if self._loaded.done():
                raise
            self._loaded.set_exception(error)
        finally:
            self._refuse()

    def _refuse(self) -> None:
        self._stop.set()
        while not self._jobs.empty():
            self._jobs.get_nowait().say(ApiError(503, "the server stops"))

    def _answer(self, model: RunModel, job: Job) -> None:
        """Answer one request; whatever is wrong with it ends it alone."""
        try:
            self._pieces(model, job)
        except KhichdiError as error:
            job.say(ApiError.of(error))
        except Exception as error:
            job.say(ApiError(500, f"the model failed: {type(error).__name__}"))

    def _pieces(self, model: RunModel, job: Job) -> None:
        if job.gone.is_set():
            return
        request = job.request
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
                        job.say(ApiError(503, "the server stops"))
                        return
                    job.say((index, piece))
