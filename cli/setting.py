"""Add the `--set` option; separate from the session, so that checks can load it alone."""

from __future__ import annotations

from argparse import ArgumentParser


def set_argument(parser: ArgumentParser) -> None:
    """Add `--set`."""
    parser.add_argument(
        "--set", dest="settings", metavar="PATH=VALUE", action="append", default=[],
        help="set a value, such as train.learning_rate=1.0e-4; paths as `recipe diff` prints them",
    )  # fmt: skip
