"""How far a long step is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """How far a long step is; `note` is a short text such as a loss, `rate` is per second."""

    done: int
    total: int
    note: str = ""
    unit: str = "steps"
    rate: float | None = None


def ignore_progress(_: Progress) -> None:
    """Report nowhere."""
