"""Serve a board over the store to a browser on this machine, until Ctrl-C or SIGTERM.

It shows runs, also while they run, compares them, and has recipes with an editor that checks what
is typed. It changes nothing unless started with --write. Where others can reach the address, they
have to show a token, which is best given by KHICHDI_UI_TOKEN.
"""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path

from ..project.board.serve_board import TOKEN, BoardOptions, serve_board
from ..project.server.listening import token_of
from ..project.session import store_folder
from .arguments import address_arguments
from .output import emit

DEFAULT = BoardOptions()


def arguments(parser: ArgumentParser) -> None:
    """Add the command's arguments."""
    address_arguments(parser, DEFAULT.host, DEFAULT.port, TOKEN)
    parser.add_argument(
        "--write", action="store_true",
        help="allow it to tag runs and save recipes, and to run the plugin files of recipes",
    )  # fmt: skip


def run(options: Namespace) -> int:
    """Serve, and print the address."""
    chosen = BoardOptions(
        host=options.host,
        port=options.port,
        token=token_of(options.token, TOKEN),
        write=options.write,
    )
    store = store_folder(options.store)

    def ready(address: str) -> None:
        document = {"url": address, "store": str(store), "write": chosen.write}
        may = "" if chosen.write else ", read only"
        emit(options, document, f"{address}   {store}{may}   Ctrl-C stops")
        sys.stdout.flush()

    serve_board(store, Path.cwd(), chosen, ready)
    return 0
