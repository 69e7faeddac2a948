"""The option `--set`."""

from __future__ import annotations

from argparse import ArgumentParser


def set_argument(parser: ArgumentParser) -> None:
    """Add `--set`."""
    parser.add_argument(
        "--set", dest="settings", metavar="PATH=VALUE", action="append", default=[],
        help="set a value, as in train.sequence_len=4096; the path as `recipe diff` prints it",
    )  # fmt: skip
