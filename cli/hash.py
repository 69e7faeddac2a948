"""Print the recipe hash, and the key of each step in it."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from ..runtime.sources.pin import check_local
from .arguments import recipe_argument, until_argument
from .output import columns, emit
from .session import open_session


def arguments(parser: ArgumentParser) -> None:
    """Add the command's arguments."""
    recipe_argument(parser)
    until_argument(parser)


def run(options: Namespace) -> int:
    """Print the hash; without a complete lock it is marked as provisional."""
    session = open_session(options)
    plan = session.compiled.plan
    check_local(plan, session.compiled.folders, session.registry, session.lock)
    parts = {step.name: step.key for step in plan.steps}
    document = {"recipe_hash": plan.recipe_hash, "locked": plan.locked, "parts": parts}
    text = plan.recipe_hash
    if not plan.locked:
        text += "\nprovisional: not every source is pinned; pin them with `recipe lock FILE`"
    if options.verbose:
        text += "\n" + columns(list(parts.items()))
    emit(options, document, text)
    return 0
