"""Describe a run's data set and model: a card for people, an ML-BOM or Croissant for machines.

`markdown` is a data set card: composition, licenses, filters, counts and examples. `cyclonedx` is a
bill of materials: the adapter, base, data sets and software, each by its digest. `croissant` is the
curated data set's files and columns, as JSON-LD.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from ..project.cards import FORMATS, describe_run
from ..runtime.store.atomic_io import write_atomically
from .arguments import run_argument
from .output import emit


def arguments(parser: ArgumentParser) -> None:
    """Add the command's arguments."""
    run_argument(parser)
    parser.add_argument("--format", choices=FORMATS, default="markdown", help="output format")
    parser.add_argument("--output", metavar="FILE", help="write to a file instead of printing")


def run(options: Namespace) -> int:
    """Print or write the description."""
    text = describe_run(options.run, options.format, store=options.store)
    if options.output:
        write_atomically(Path(options.output), text)
        emit(options, {"card": options.output}, f"wrote {options.output}")
    else:
        emit(options, {"card": text}, text.rstrip())
    return 0
