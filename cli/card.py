"""Describe a run's data set and model: a card for people, an ML-BOM or Croissant for machines.

`markdown` is a data set card: composition, licenses, filters, counts and examples. `cyclonedx` is a
bill of materials: the adapter, base, data sets and software, each by its digest. `croissant` is the
curated data set's files and columns, as JSON-LD.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from ..project.run_lookup import Run, open_run
from ..schema.errors import InputError
from ..schema.secrets import mask
from .arguments import run_argument
from .output import emit

FORMATS = ("markdown", "cyclonedx", "croissant")


def arguments(parser: ArgumentParser) -> None:
    """Add what this command takes."""
    run_argument(parser)
    parser.add_argument("--format", choices=FORMATS, default="markdown", help="output format")
    parser.add_argument("--output", metavar="FILE", help="write to a file instead of printing")


def run(options: Namespace) -> int:
    """Print or write the description."""
    from ..runtime.bundle.privacy_check import refuse
    from ..runtime.store.store import write_atomically

    text = _text(open_run(options.run, store=options.store), options.format)
    if options.format == "markdown":
        text = mask(text)
    else:
        refuse(options.format, text.encode())
    if options.output:
        write_atomically(Path(options.output), text)
        emit(options, {"card": options.output}, f"wrote {options.output}")
    else:
        emit(options, {"card": text}, text.rstrip())
    return 0


def _text(past: Run, form: str) -> str:
    plan, record = past.plan(), past.record
    if form == "cyclonedx":
        from ..runtime.cards.cyclonedx import bom

        if not any(step.kind == "runtime" for step in record.steps):
            raise InputError("the run trained no model that a bill of materials could be of")
        return bom(plan, record, past.claims(), past.claimed_metrics())
    if form == "croissant":
        from ..runtime.cards.croissant import croissant

        return croissant(plan, record)
    from ..runtime.cards.data_card import card

    return card(plan, record, past.store)
