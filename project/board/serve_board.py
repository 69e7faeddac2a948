"""Serve a board over a store until a signal."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ...runtime.store.store import Store
from ..server.listening import Address, check_packages, listening, serve_until_signal

TOKEN = "KHICHDI_UI_TOKEN"
"""The variable that has the token."""
PORT = 8765


@dataclass(frozen=True)
class BoardOptions:
    """How a board is served.

    Attributes:
        host: the address to listen on; 127.0.0.1 is reached from this machine alone.
        port: 0 takes a free one.
        token: what clients have to show; needed where others can reach the address.
        write: whether tags and recipes may be changed by it.
    """

    host: str = "127.0.0.1"
    port: int = PORT
    token: str | None = None
    write: bool = False

    @property
    def address(self) -> Address:
        """Where it listens."""
        return Address(self.host, self.port, self.token, TOKEN)


def serve_board(
    store: Path, folder: Path, options: BoardOptions, ready: Callable[[str], None]
) -> None:
    """Serve a board until SIGINT or SIGTERM.

    Args:
        store: the store whose runs it shows; it need not be there yet.
        folder: the folder whose recipes it shows.
        options: how it is served.
        ready: called with the address when requests are answered.

    Raises:
        InputError: the options contradict each other, or the address cannot be listened on.
        WorkError: packages are missing.
    """
    address = options.address
    address.check("read what the store has")
    check_packages()
    from .app import make_app
    from .pages import Board
    from .recipe_files import RecipeFolder

    board = Board(Store(store), RecipeFolder(folder), options.write)
    with listening(address) as listener:
        url = address.url(listener.getsockname()[1])
        board.index.read_all()
        app = make_app(board, address.hosts, options.token)
        serve_until_signal(app, listener, lambda: ready(url))
