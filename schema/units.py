"""Times and amounts of memory in words."""

from __future__ import annotations


def duration(seconds: float) -> str:
    """Return a time as a person reads it."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    if seconds < 3600:
        return f"{int(seconds // 60)} min {int(seconds % 60)} s"
    return f"{int(seconds // 3600)} h {int(seconds % 3600 // 60)} min"


def gibibytes(count: float) -> str:
    """Return memory as `nvidia-smi` and torch count it."""
    unit, width = ("GiB", 2**30) if count >= 2**30 else ("MiB", 2**20)
    return f"{count / width:.{1 if unit == 'GiB' else 0}f} {unit}"
