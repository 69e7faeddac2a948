"""Launch options: over how many processes a training runs; they change no result."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Strategy = Literal["ddp", "fsdp"]


@dataclass(frozen=True)
class Launch:
    """The processes of one training.

    Attributes:
        processes: on each machine.
        strategy: `ddp`, where each process holds the whole base, or `fsdp`, where each holds a
            part of it and is sent the rest, layer by layer.
        nodes: machines; each is given the same recipe, and starts its own processes.
        node: which of them this one is, from 0.
        rendezvous: `HOST:PORT` of machine 0, where the processes of several machines find one
            another.
    """

    processes: int = 1
    strategy: Strategy = "ddp"
    nodes: int = 1
    node: int = 0
    rendezvous: str | None = None

    @property
    def size(self) -> int:
        """Return how many processes there are on all machines."""
        return self.processes * self.nodes
