"""List machine, libraries and settings, with the origin of each value; tokens are not shown.

It is for reports of problems and for notes beside results. `recipe doctor` says what is missing and
what installs it.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from dataclasses import asdict

from ..project.environment import environment_facts
from .output import columns, emit


def arguments(parser: ArgumentParser) -> None:
    """Add the command's arguments: none of its own."""


def run(options: Namespace) -> int:
    """Print the table."""
    facts = environment_facts(options.store)
    rows = [(fact.group, fact.name, fact.value or "-", fact.origin) for fact in facts]
    emit(options, {"facts": [asdict(fact) for fact in facts]}, columns(rows, indent=""))
    return 0
