"""Copy every source of a recipe to a folder, for machines without a network.

Copy the folder to the other machine and name it there with `--mirror`.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from ..project.mirrors import open_mirror
from .arguments import mirror_argument, recipe_argument
from .notices import Notices
from .output import columns, emit, size
from .session import open_session

LOCAL = "it lies on this machine"


def arguments(parser: ArgumentParser) -> None:
    """Add the command's arguments."""
    recipe_argument(parser)
    mirror_argument(parser)
    parser.add_argument("--to", required=True, metavar="DIR", help="the mirror's folder")


def run(options: Namespace) -> int:
    """Pin unpinned sources, download the bytes, and lay them out."""
    from ..project.mirror_copy import copy_to_mirror

    session, root = open_session(options), Path(options.to)
    copied = copy_to_mirror(session, root, Notices(options), open_mirror(options.mirror))
    rows = [
        (one.step, one.place or "not copied", size(one.size) if one.place else LOCAL)
        for one in copied
    ]
    places = {name: place for name, place, _ in rows}
    emit(options, {"mirror": str(root), "places": places}, columns(rows))
    return 0
