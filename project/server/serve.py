"""Serve the model of a run until a signal: load, bind, answer, stop cleanly."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import os
import signal
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from ...schema.errors import InputError, WorkError
from ..generate import run_model
from .protocol import BASE
from .worker import Worker

if TYPE_CHECKING:
    from ..run_lookup import Run

TOKEN = "KHICHDI_SERVE_TOKEN"
"""The variable that has the token: arguments can be read by everybody on the machine."""
GRACE = 5
"""Seconds that the answer in progress has when the server is to stop."""


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
        if not 0 <= self.port <= 65535:
            raise InputError(f"port {self.port}: 0 to 65535 was expected")
        for name, value in (("queue", self.waiting), ("max-new-tokens", self.new_tokens)):
            if value < 1:
                raise InputError(f"--{name} is {value}, at least 1 was expected")
        if not self.timeout > 0:
            raise InputError(f"--timeout is {self.timeout}, seconds over 0 were expected")
        if self.token is not None and (not self.token.isascii() or len(self.token) < 8):
            raise InputError("the token is too short: at least 8 plain characters were expected")
        if self.token is not None and self.anybody:
            raise InputError("a token and --no-token contradict each other: give one of them")
        if self.token is None and not self.local and not self.anybody:
            raise InputError(
                f"others can reach {self.host}: without a token they could use the model",
                hint=f"set {TOKEN} to a token that clients show, listen on 127.0.0.1, or say "
                "--no-token where only those who may use it reach the address",
            )

    @property
    def local(self) -> bool:
        """Whether the address is reached from this machine alone."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


def token_of(given: str | None) -> str | None:
    """Return the token: the given one, else that of the environment."""
    return given or os.environ.get(TOKEN) or None


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
    _check_packages()
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
        hosts=("127.0.0.1", "localhost", "[::1]", options.host) if options.local else ("*",),
        timeout=options.timeout,
    )
    with _listening(options) as listener:
        try:
            worker.start()
            port = listener.getsockname()[1]
            host = f"[{options.host}]" if ":" in options.host else options.host
            app = make_app(service)
            asyncio.run(
                _serve(app, worker, listener, lambda: ready(f"http://{host}:{port}", models))
            )
        finally:
            worker.stop()


async def _serve(
    app: Any, worker: Worker, listener: socket.socket, ready: Callable[[], None]
) -> None:
    import uvicorn

    class Server(uvicorn.Server):
        """A server that leaves signals to us: its own would end the process by them."""

        @contextlib.contextmanager
        def capture_signals(self) -> Iterator[None]:
            yield

    config = uvicorn.Config(
        app, log_config=None, access_log=False, timeout_graceful_shutdown=GRACE + 5, lifespan="off",
        server_header=False,
    )  # fmt: skip
    server = Server(config)

    def stop() -> None:
        if server.should_exit:  # the second signal does not wait
            worker.halt()
            server.force_exit = True
            return
        server.should_exit = True
        worker.close()
        loop.call_later(GRACE, worker.halt)

    if not os.environ.get("KHICHDI_DEBUG"):
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop)
    loop.call_soon(ready)
    await server.serve(sockets=[listener])


def _listening(options: ServeOptions) -> socket.socket:
    """Return a socket that listens: before the model is loaded, as that takes long."""
    try:
        family = socket.AF_INET6 if ":" in options.host else socket.AF_INET
        return socket.create_server((options.host, options.port), family=family)
    except (OSError, OverflowError, UnicodeError) as error:
        told = getattr(error, "strerror", None) or error
        raise InputError(
            f"cannot listen on {options.host}, port {options.port}: {told}",
            hint="choose another with --port, or a free one with --port 0",
        ) from None


def _check_packages() -> None:
    from importlib.util import find_spec

    missing = [name for name in ("starlette", "uvicorn") if find_spec(name) is None]
    if missing:
        raise WorkError(
            f"serving needs packages that are not installed: {', '.join(missing)}",
            hint="install them with `pip install 'khichdi[serve]'`",
        )
