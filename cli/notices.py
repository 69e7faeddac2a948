"""Print the notices of a run on standard error."""

from __future__ import annotations

import sys
from argparse import Namespace

from ..project.observer import Observer
from ..schema.printable import printable
from ..schema.secrets import mask


class Notices(Observer):
    """Prints notices, with secrets masked; silent with `--json` or `-q`."""

    def __init__(self, options: Namespace) -> None:
        self.silent: bool = options.quiet or options.json

    def notice(self, text: str) -> None:
        """Print a line."""
        if not self.silent:
            print(printable(mask(text)), file=sys.stderr)
