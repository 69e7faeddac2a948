"""Fine-tuning recipes for language models that can be written, diffed, run and proved."""

from __future__ import annotations


def __getattr__(name: str) -> str:
    """Return the installed version; read only when asked for, as commands start without it."""
    if name == "__version__":
        from importlib.metadata import version

        return version("khichdi")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
