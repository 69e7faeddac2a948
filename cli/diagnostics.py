"""Print the diagnostics of recipes: in colors on a terminal, plainly elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TextIO

from ..schema.errors import Diagnostic
from ..schema.printable import one_line, printable
from ..schema.secrets import mask

STYLES = {
    "place": "bold",
    "message": "",
    "number": "dim",
    "source": "",
    "caret": "red",
    "suggestion": "cyan",
}


def show(found: Sequence[Diagnostic], screen: TextIO, what: str = "error") -> None:
    """Print each diagnostic, and their number."""
    files = len({d.file for d in found})
    total = f"{len(found)} {what}{'s' * (len(found) != 1)} in {files} recipe{'s' * (files != 1)}"
    if not screen.isatty():
        print(printable(mask("\n".join([*map(str, found), total]))), file=screen)
        return
    # Here for its colors, NO_COLOR and the width of the terminal; where there is none it is not
    # loaded.
    from rich.console import Console
    from rich.text import Text

    console = Console(file=screen, highlight=False, soft_wrap=True)
    for diagnostic in found:
        for line in diagnostic.layout(console.width):
            parts = [(one_line(mask(text)), STYLES[role]) for text, role in line]
            console.print(Text.assemble(*parts))
    console.print(Text(total, "bold"))
