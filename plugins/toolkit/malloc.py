"""Configure malloc to keep memory for reuse; no heavy import."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_LARGEST = (2**30, 2**25)  # newer versions take any threshold, older ones 32 MiB at most


@contextmanager
def keeping_freed_memory() -> Iterator[None]:
    """Let glibc keep freed memory for the next step rather than return it to the system.

    What a step frees, the next one needs: given back, each page is mapped and cleared again, which
    costs a training step on a CPU several percent. Nothing more is held than at the peak, and all
    that is free is given back at the end. Changes no bits; does nothing with other C libraries.
    """
    library = _glibc()
    if library is None:
        yield
        return
    library.mallopt(_TRIM_THRESHOLD, 2**31 - 1)
    any(library.mallopt(_MMAP_THRESHOLD, size) for size in _LARGEST)
    try:
        yield
    finally:
        # Its own adjusting of the thresholds is over once they were set: 32 MiB is where that
        # would have ended.
        library.mallopt(_MMAP_THRESHOLD, _LARGEST[1])
        library.mallopt(_TRIM_THRESHOLD, 2 * _LARGEST[1])
        library.malloc_trim(0)


def _glibc() -> Any | None:
    try:
        library = ctypes.CDLL(None)
        library.mallopt, library.malloc_trim  # noqa: B018  # absent elsewhere
    except (AttributeError, OSError, TypeError):
        return None
    return library
