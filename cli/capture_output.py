"""Capture what libraries print, in C too: it goes to the run's log, with secrets masked."""

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
def capture_output(log: Path | None) -> Iterator[TextIO]:
    """Redirect standard output and error to a file; yield the real error stream.

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
            # A failing flush must not hide why the work stopped.
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
    """Yield a descriptor whose bytes another process masks and writes to the log."""
    # In a session of its own: an interrupt is meant for this process, not for the writer.
    writer = subprocess.Popen(
        [sys.executable, "-m", f"{__package__}.log_masker", str(log)],
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
