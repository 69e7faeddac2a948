"""How far a long step is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """How far a long step is; `rate` is per second.

    `note` is a short text, such as `loss 4.088, validation 3.9`: figures written so, each after its
    name, are drawn as curves while the step runs.
    """

    done: int
    total: int
    note: str = ""
    unit: str = "steps"
    rate: float | None = None


def ignore_progress(_: Progress) -> None:
    """Report nowhere."""
