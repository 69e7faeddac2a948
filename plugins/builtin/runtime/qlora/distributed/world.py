"""Ranks of one training: assign micro batches, and communicate.

A micro batch keeps its number, its seed and its place in every sum, in whichever process it is
computed. So the number of processes changes no bit where they compute alike.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import torch

from khichdi.plugins.kinds import Launch
from khichdi.schema.errors import StepError

T = TypeVar("T")

PATIENCE = timedelta(hours=1)
"""How long one process waits for the others; rank 0 may be writing a checkpoint meanwhile."""


class Processes:
    """This process among those of a training; by itself where there is no launch."""

    def __init__(self, launch: Launch | None = None, rank: int = 0, words: Any = None) -> None:
        self.launch, self.rank = launch or Launch(), rank
        self._words = words  # gloo's group: objects need no GPU memory

    @property
    def size(self) -> int:
        """Return how many there are."""
        return self.launch.size

    @property
    def first(self) -> bool:
        """Return whether this process writes checkpoints and shows progress."""
        return self.rank == 0

    @property
    def leads(self) -> bool:
        """Return whether this is the process of its machine that writes the adapter."""
        return self.rank % self.launch.processes == 0

    @property
    def sharded(self) -> bool:
        """Return whether each process holds only a part of the base."""
        return self.size > 1 and self.launch.strategy == "fsdp"

    def measured(self, model: Any) -> dict[str, float | str]:
        """Return their entry in the record; nothing for one process.

        `parameter_bytes` is one process's part of the model between layers.
        """
        if self.size == 1:
            return {}
        here = (getattr(p, "to_local", p.detach)() for p in model.parameters())
        held = float(sum(tensor.nbytes for tensor in here))
        return {
            "processes": float(self.size),
            "strategy": self.launch.strategy,
            "parameter_bytes": max(self.from_all(held)),
        }

    # ---- work -------------------------------------------------------------------------------

    def own_numbers(self, count: int) -> list[int]:
        """Return this process's share of the numbers below `count`, in order.

        All processes have equally many, because a sharded layer needs all processes. A process
        without one left repeats the last, which is not counted.
        """
        rounds = -(-count // self.size)
        return [min(turn * self.size + self.rank, count - 1) for turn in range(rounds)]

    def in_order(self, mine: Sequence[torch.Tensor], count: int) -> list[torch.Tensor]:
        """Return one scalar for each number below `count`, from all processes' `own_numbers`."""
        if self.size == 1 or not mine:
            return list(mine)
        import torch.distributed as dist

        stacked = torch.stack(list(mine))
        gathered = stacked.new_empty(self.size * len(mine))
        dist.all_gather_into_tensor(gathered, stacked)
        by_number = gathered.view(self.size, len(mine)).t().reshape(-1)
        return list(by_number[:count].unbind())

    # ---- words ------------------------------------------------------------------------------

    def from_first(self, value: T) -> T:
        """Return the first process's value."""
        if self.size == 1:
            return value
        import torch.distributed as dist

        box = [value]
        dist.broadcast_object_list(box, src=0, group=self._words)
        return box[0]

    def from_all(self, value: T) -> list[T]:
        """Return what each process has, by rank."""
        if self.size == 1:
            return [value]
        import torch.distributed as dist

        found: list[Any] = [None] * self.size
        dist.all_gather_object(found, value, group=self._words)
        return found

    def check_same(self, what: Mapping[str, Any], where: str) -> None:
        """Refuse to continue where processes differ in a value that must be the same for all.

        Raises:
            StepError: they do; the same one in every process.
        """
        first, *others = self.from_all(dict(what))
        for rank, other in enumerate(others, start=1):
            wrong = [name for name in first if first[name] != other.get(name)]
            if wrong:
                raise StepError(
                    f"{where}: rank {rank} of {self.size} differs from rank 0 in "
                    f"{', '.join(wrong)}",
                    hint="every process needs the same packages, the same kind of processor and "
                    "the same recipe and lock",
                )


@contextmanager
def joined(launch: Launch, local: int, meeting: Callable[[], Any]) -> Iterator[Processes]:
    """Meet the other processes; yields this one among them.

    Args:
        launch: how many there are.
        local: which of this machine's this one is, from 0.
        meeting: makes the store where they find one another.
    """
    import torch.distributed as dist

    rank = launch.node * launch.processes + local
    os.environ |= {
        "RANK": str(rank),
        "LOCAL_RANK": str(local),
        "WORLD_SIZE": str(launch.size),
        "LOCAL_WORLD_SIZE": str(launch.processes),
    }
    if launch.nodes == 1 and Path("/sys/class/net/lo").exists():
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")  # needs no name of this machine
    backend = "gloo"
    if torch.cuda.is_available():
        torch.cuda.set_device(local)
        backend = "cpu:gloo,cuda:nccl"
    dist.init_process_group(
        backend, store=meeting(), rank=rank, world_size=launch.size, timeout=PATIENCE
    )
    yield Processes(launch, rank, dist.new_group(backend="gloo", timeout=PATIENCE))
    # Not when something failed: it would wait for those who have gone.
    dist.destroy_process_group()
