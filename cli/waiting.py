"""Show that something long is at work, on a terminal alone."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ..plugins.kinds import Progress


@contextmanager
def waiting(options: Namespace, text: str) -> Iterator[Callable[[Progress], None]]:
    """Show a line that moves until the context ends; yield a function that says how far it is."""
    if options.json or options.quiet or not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console

    console = Console(stderr=True, highlight=False)
    with console.status(text) as status:
        yield lambda reached: status.update(
            f"{text}   {reached.done:,}/{reached.total:,} {reached.unit}"
        )
