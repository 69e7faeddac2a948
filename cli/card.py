"""Write a data set card of a run: composition, licences, filters, counts and examples."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from .output import emit
from .past import open_run, run_argument


def arguments(parser: ArgumentParser) -> None:
    """Add what this command takes."""
    run_argument(parser)
    parser.add_argument("--output", metavar="FILE", help="write it there instead of printing it")


def run(options: Namespace) -> int:
    """Print or write the card, as Markdown."""
    from ..runtime.card import card
    from ..runtime.store import write_atomically

    past = open_run(options)
    text = card(past.plan(), past.record, past.store)
    if options.output:
        write_atomically(Path(options.output), text)
        emit(options, {"card": options.output}, f"wrote {options.output}")
    else:
        emit(options, {"card": text}, text.rstrip())
    return 0
