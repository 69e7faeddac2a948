"""Redirect output of libraries to the run's log, without secrets."""

from __future__ import annotations

import contextlib
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

LINGERS = 10.0
"""Seconds to wait for the log: a process that a plugin left behind may still hold it open."""


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
    with _writer(log) as said, os.fdopen(os.dup(saved[1]), "w", encoding="utf-8") as screen:
        for number in (1, 2):
            os.dup2(said, number)
        handler = logging.StreamHandler(os.fdopen(os.dup(said), "w", encoding="utf-8"))
        logging.getLogger().addHandler(handler)
        try:
            yield screen
        finally:
            # What cannot be said must not hide why the work stopped.
            for stream in (sys.stdout, sys.stderr):
                with contextlib.suppress(OSError):
                    stream.flush()
            for number, descriptor in enumerate(saved, start=1):
                os.dup2(descriptor, number)
                os.close(descriptor)
            logging.getLogger().removeHandler(handler)
            with contextlib.suppress(OSError):
                handler.stream.close()


@contextlib.contextmanager
def _writer(log: Path) -> Iterator[int]:
    """Give a descriptor; what is written to it goes to the log, masked by another process."""
    # In a session of its own: an interrupt is for who speaks, not for who writes it down.
    writer = subprocess.Popen(
        [sys.executable, "-m", f"{__package__}.masking", str(log)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    assert writer.stdin is not None
    try:
        yield writer.stdin.fileno()
    finally:
        writer.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            writer.wait(LINGERS)
