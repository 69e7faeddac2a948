"""Makes `python -m khichdi.cli` the same as `recipe`."""

import sys

from .main import command

sys.exit(command())
