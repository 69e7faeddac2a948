"""All-reduce (sync) gradients of several processes, in the order of a single process."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch

from ..memory.launched import TOGETHER
from .world import Processes


class Gradients:
    """The gradient of an optimizer step, micro batch by micro batch.

    Alone, autograd adds them up. With others, after each turn every process is given its part of
    everybody's gradient and adds these to its sum in the order of micro batches, so that rounding
    is that of one process; at the end of the step the sums are put together again. Twice the
    bytes of a gradient travel where a step has one turn, as with a reduction that adds as it can.
    """

    def __init__(self, processes: Processes, trained: Sequence[torch.nn.Parameter]) -> None:
        self.processes = processes
        self._buckets: list[_Bucket] = []
        if processes.size > 1:
            self._buckets = [_Bucket(some, processes) for some in _together(trained)]
        self._left = 0

    def begin(self, count: int) -> None:
        """Begin a step of so many micro batches."""
        self._left = count
        for bucket in self._buckets:
            bucket.total = None

    def add(self) -> None:
        """Add what backward has left, of every process whose micro batch counts."""
        counting = min(self.processes.size, self._left)
        self._left -= counting
        for bucket in self._buckets:
            bucket.add(counting)

    def finish(self) -> None:
        """Give every parameter the step's gradient."""
        for bucket in self._buckets:
            bucket.finish()


class _Bucket:
    """Parameters of one type whose gradients travel together."""

    def __init__(self, trained: list[torch.nn.Parameter], processes: Processes) -> None:
        self.trained, self.processes = trained, processes
        self.sizes = [parameter.numel() for parameter in trained]
        # After the gradients, one number each: whether there is a gradient at all.
        self.length = -(-(sum(self.sizes) + len(trained)) // processes.size) * processes.size
        self.total: torch.Tensor | None = None

    def add(self, counting: int) -> None:
        import torch.distributed as dist

        mine = self._flat()
        theirs = torch.empty_like(mine)
        dist.all_to_all_single(theirs, mine)
        parts = theirs.view(self.processes.size, -1)
        for part in parts[:counting]:
            self.total = part.clone() if self.total is None else self.total.add_(part)

    def finish(self) -> None:
        import torch.distributed as dist

        assert self.total is not None
        whole = self.total.new_empty(self.length)
        dist.all_gather_into_tensor(whole, self.total)
        self.total = None
        given = whole[sum(self.sizes) :].tolist()
        places = whole[: sum(self.sizes)].split(self.sizes)
        for parameter, place, times in zip(self.trained, places, given, strict=False):
            parameter.grad = place.view_as(parameter) if times else None

    def _flat(self) -> torch.Tensor:
        """Return the gradients as one row, and take them from the parameters."""
        first = self.trained[0]
        flat = torch.zeros(self.length, dtype=first.dtype, device=first.device)
        places = flat[: sum(self.sizes)].split(self.sizes)
        for number, (parameter, place) in enumerate(zip(self.trained, places, strict=True)):
            if parameter.grad is not None:
                place.copy_(parameter.grad.reshape(-1))
                flat[sum(self.sizes) + number] = 1
                parameter.grad = None
        return flat


def _together(trained: Sequence[torch.nn.Parameter]) -> Iterator[list[torch.nn.Parameter]]:
    """Yield parameters of one type, in their order, as many as travel at once."""
    some: list[torch.nn.Parameter] = []
    for parameter in trained:
        full = sum(p.numel() for p in some) + parameter.numel() > TOGETHER
        if some and (full or parameter.dtype != some[0].dtype):
            yield some
            some = []
        some.append(parameter)
    if some:
        yield some
