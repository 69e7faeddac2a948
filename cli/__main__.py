"""Run `python -m khichdi.cli` as `recipe`."""

import sys

from .main import command

sys.exit(command())
