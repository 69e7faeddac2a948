"""Copy stdin to a log, redacting secrets.

    python -m khichdi.cli.masking LOG

It reads standard input in a process of its own: when the process that speaks is killed, what it
said last is still written, and still without secrets.
"""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path

from ..schema.secrets import mask, secrets_in

MOST_HELD = 1 << 16
"""Bytes that wait for the end of their line, or of what may be a secret of several lines."""


def main(log: Path) -> None:
    """Copy what is said to the log, by whole lines."""
    held = b""
    with contextlib.suppress(OSError), log.open("ab") as file:
        while said := os.read(0, MOST_HELD):
            held += said
            end = len(held) if len(held) > MOST_HELD else whole(held)
            file.write(shown(held[:end]))
            file.flush()
            held = held[end:]
        file.write(shown(held))
    # Where nothing can be logged (a full disk), who speaks must not be held up.
    while os.read(0, MOST_HELD):
        pass


def whole(held: bytes) -> int:
    """Return where the lines end that nothing said later can make part of a secret."""
    end = max(held.rfind(b"\n"), held.rfind(b"\r")) + 1
    last = len(held[:end].rstrip())
    return min((one.start for one in secrets_in(held[:end]) if one.end >= last), default=end)


def shown(said: bytes) -> bytes:
    """Return lines with secrets masked."""
    return mask(said.decode(errors="replace")).encode()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
