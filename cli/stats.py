"""Count the rows that a run curated: lengths, tasks, sources, overlap, languages, phrases.

Lengths are in tokens where the run packed its rows, and always in words and characters. Rows
overlap whose prompt, or whole text, is the same in lower case and without punctuation. Languages
and phrases are counted on at most 20,000 rows, drawn by their ids.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from ..project.curation import open_rows, statistics_of
from .arguments import rows_argument
from .output import emit
from .stats_text import stats_text


def arguments(parser: ArgumentParser) -> None:
    """Add the command's arguments."""
    rows_argument(parser)


def run(options: Namespace) -> int:
    """Print the statistics."""
    past, rows = open_rows(options.run, options.step, store=options.store)
    found = statistics_of(past, rows)
    emit(
        options,
        {"run": past.name, **found.as_json()},
        stats_text(past.name, found, verbose=options.verbose),
    )
    return 0
