"""Serve the model of a run until a signal: load, bind, answer, stop cleanly."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING

from ...schema.errors import InputError
from ..generate import run_model
from .listening import Address, check_packages, listening, serve_until_signal
from .protocol import BASE
from .worker import Worker

if TYPE_CHECKING:
    from ..run_lookup import Run

TOKEN = "KHICHDI_SERVE_TOKEN"
"""The variable that has the token."""


@dataclass(frozen=True)
class ServeOptions:
    """How a model is served.

    Attributes:
        host: the address to listen on; 127.0.0.1 is reached from this machine alone.
        port: 0 takes a free one.
        token: what clients have to show; needed where others can reach the address.
        anybody: let all who reach the address use the model without a token.
        waiting: how many requests may wait.
        timeout: seconds that a request may take, waiting included.
        new_tokens: tokens of an answer where a request leaves it open.
        threads: CPU threads; None takes those of the run's evaluation.
        allow_local_plugins: run the plugin files that the run contains.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    token: str | None = None
    anybody: bool = False
    waiting: int = 64
    timeout: float = 600.0
    new_tokens: int = 1024
    threads: int | None = None
    allow_local_plugins: bool = False

    def check(self) -> None:
        """Refuse options that contradict each other.

        Raises:
            InputError: they do.
        """
        if self.token is not None and self.anybody:
            raise InputError("a token and --no-token contradict each other: give one of them")
        self.address.check("use the model")
        for name, value in (("queue", self.waiting), ("max-new-tokens", self.new_tokens)):
            if value < 1:
                raise InputError(f"--{name} is {value}, at least 1 was expected")
        if not self.timeout > 0:
            raise InputError(f"--timeout is {self.timeout}, seconds over 0 were expected")

    @property
    def address(self) -> Address:
        """Where it listens."""
        return Address(self.host, self.port, self.token, TOKEN, self.anybody)


def serve(run: Run, options: ServeOptions, ready: Callable[[str, tuple[str, ...]], None]) -> None:
    """Serve the model of a run until SIGINT or SIGTERM.

    Args:
        run: the run.
        options: how it is served.
        ready: called with the address and the names of the models when requests are answered.

    Raises:
        InputError: the options contradict each other, or the address cannot be listened on.
        StoreError: the store does not have base or adapter any more.
        WorkError: packages are missing, or the model cannot be loaded.
    """
    options.check()
    check_packages()
    from .app import Service, make_app

    load = partial(
        run_model, run, threads=options.threads, allow_local_plugins=options.allow_local_plugins
    )
    worker = Worker(load, options.waiting, options.new_tokens)
    models = (run.name, BASE)
    service = Service(
        worker=worker,
        models=models,
        owner=run.record.recipe,
        created=int(datetime.fromisoformat(run.record.started).timestamp()),
        fingerprint=run.result_hash,
        token=options.token,
        hosts=options.address.hosts,
        timeout=options.timeout,
    )
    # Before the model is loaded, as that takes long.
    with listening(options.address) as listener:
        try:
            worker.start()
            url = options.address.url(listener.getsockname()[1])
            serve_until_signal(
                make_app(service),
                listener,
                lambda: ready(url, models),
                closing=worker.close,
                halting=worker.halt,
            )
        finally:
            worker.stop()
