"""Temporary folders."""

from __future__ import annotations

from tempfile import TemporaryDirectory


def scratch_folder(purpose: str, place: str | None = None) -> TemporaryDirectory[str]:
    """Give a folder that is removed at the end, as a context.

    What cannot be removed then is left there: it does not fail work that is done.

    Args:
        purpose: a word for its name.
        place: where to make it; None for the system's own place.
    """
    return TemporaryDirectory(prefix=f"khichdi-{purpose}-", dir=place, ignore_cleanup_errors=True)
