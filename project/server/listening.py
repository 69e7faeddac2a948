"""Listen on an address, and serve an application there until a signal: what all servers share."""

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
from typing import Any

from ...schema.errors import InputError, WorkError

GRACE = 5
"""Seconds that answers in progress have when the server is to stop."""
SHORTEST_TOKEN = 8
"""Characters of a token, at least."""
PACKAGES = ("starlette", "uvicorn")


@dataclass(frozen=True)
class Address:
    """Where a server listens, and what clients have to show.

    Attributes:
        host: the address to listen on; 127.0.0.1 is reached from this machine alone.
        port: 0 takes a free one.
        token: what clients have to show; needed where others can reach the address.
        variable: the environment variable that has the token, for hints.
        anybody: whether others may use the server without a token.
    """

    host: str
    port: int
    token: str | None
    variable: str
    anybody: bool = False

    def check(self, use: str) -> None:
        """Refuse an address that cannot be, or that others could use without a token.

        Args:
            use: the verb for what they could do then, such as `use the model`.

        Raises:
            InputError: it is such an address.
        """
        if not 0 <= self.port <= 65535:
            raise InputError(f"port {self.port}: 0 to 65535 was expected")
        if self.token is not None and (
            not self.token.isascii()
            or not self.token.isprintable()
            or len(self.token) < SHORTEST_TOKEN
        ):
            raise InputError(
                f"the token is too short: at least {SHORTEST_TOKEN} plain characters were expected"
            )
        if self.token is None and not self.local and not self.anybody:
            raise InputError(
                f"others can reach {self.host}: without a token they could {use}",
                hint=f"set {self.variable} to a token that clients show, or listen on 127.0.0.1",
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

    @property
    def hosts(self) -> tuple[str, ...]:
        """The names that clients may call the server by; `*` for any, where a token is needed.

        Else a page of another site could ask by a name that it points to this machine.
        """
        return ("127.0.0.1", "localhost", "[::1]", self.host) if self.local else ("*",)

    def url(self, port: int) -> str:
        """Return the address that a browser takes, with the port that was taken."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{port}"


def token_of(given: str | None, variable: str) -> str | None:
    """Return the token: the given one, else that of the environment.

    Arguments can be read by everybody on the machine; a variable cannot.
    """
    return given or os.environ.get(variable) or None


def listening(address: Address) -> socket.socket:
    """Return a socket that listens.

    Raises:
        InputError: the address cannot be listened on.
    """
    try:
        family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
        return socket.create_server((address.host, address.port), family=family)
    except (OSError, OverflowError, UnicodeError) as error:
        told = getattr(error, "strerror", None) or error
        raise InputError(
            f"cannot listen on {address.host}, port {address.port}: {told}",
            hint="choose another with --port, or a free one with --port 0",
        ) from None


def serve_until_signal(
    app: Any,
    listener: socket.socket,
    ready: Callable[[], None],
    *,
    closing: Callable[[], None] | None = None,
    halting: Callable[[], None] | None = None,
) -> None:
    """Serve an application until SIGINT or SIGTERM; the second signal does not wait.

    Args:
        app: the application.
        listener: a socket that listens.
        ready: called when requests are answered.
        closing: called at the first signal: nothing new is to be begun.
        halting: called `GRACE` seconds later, or at the second signal: what goes on is to end.
    """
    asyncio.run(_serve(app, listener, ready, closing or _nothing, halting or _nothing))


async def _serve(
    app: Any,
    listener: socket.socket,
    ready: Callable[[], None],
    closing: Callable[[], None],
    halting: Callable[[], None],
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
        if server.should_exit:
            halting()
            server.force_exit = True
            return
        server.should_exit = True
        closing()
        loop.call_later(GRACE, halting)

    if not os.environ.get("KHICHDI_DEBUG"):
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop)
    loop.call_soon(ready)
    await server.serve(sockets=[listener])


def _nothing() -> None:
    """Do nothing: there is no work to end."""


def check_packages() -> None:
    """Refuse to serve without the packages that it takes.

    Raises:
        WorkError: some are missing.
    """
    from importlib.util import find_spec

    missing = [name for name in PACKAGES if find_spec(name) is None]
    if missing:
        raise WorkError(
            f"serving needs packages that are not installed: {', '.join(missing)}",
            hint="install them with `pip install 'khichdi[serve]'`",
        )
