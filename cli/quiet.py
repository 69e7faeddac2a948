"""Keeps what libraries print off the user's screen: it goes to the run's log."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from ..runtime.store import write_atomically
from ..schema.secrets import mask


@contextlib.contextmanager
def quiet(log: Path | None) -> Iterator[TextIO]:
    """Send standard output and error, of C libraries too, to a file; give the real error stream.

    Without a log nothing is redirected: nothing that could print runs then.
    """
    if log is None:
        yield sys.stderr
        return
    sys.stdout.flush()
    sys.stderr.flush()
    saved = os.dup(1), os.dup(2)
    handler = logging.FileHandler(log, encoding="utf-8")
    logging.getLogger().addHandler(handler)
    with log.open("ab") as file, os.fdopen(os.dup(saved[1]), "w", encoding="utf-8") as screen:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
        try:
            yield screen
        finally:
            # What cannot be logged (a full disk) must not hide why the work stopped.
            with contextlib.suppress(OSError):
                sys.stdout.flush()
            with contextlib.suppress(OSError):
                sys.stderr.flush()
            for number, descriptor in enumerate(saved, start=1):
                os.dup2(descriptor, number)
                os.close(descriptor)
            logging.getLogger().removeHandler(handler)
            with contextlib.suppress(OSError):
                handler.close()
            with contextlib.suppress(OSError):
                _without_secrets(log)


def _without_secrets(log: Path) -> None:
    """Put each secret's kind in its place: what libraries say is theirs, and nobody checks it."""
    said = log.read_text(encoding="utf-8", errors="replace")
    kept = mask(said)
    if kept != said:
        write_atomically(log, kept)
