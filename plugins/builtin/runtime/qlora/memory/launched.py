"""Memory of one of several processes, from that of a training in a single one."""

from __future__ import annotations

from khichdi.plugins import Workload
from khichdi.schema.architecture import BYTES, Linear
from khichdi.schema.estimate import Memory

TOGETHER = 2**24
"""Elements of gradients that are exchanged at once: larger messages are faster, and take memory."""
GATHERED = 2
"""Layers of a sharded base that are whole at a time: the one that runs, and the next."""


def of_one_process(memory: Memory, workload: Workload, trained: int) -> Memory:
    """Return what each process holds, of `trained` parameters; unchanged for a single one."""
    launch = workload.launch
    if launch.size == 1:
        return memory
    # A message and its answer, and this process's share of the sum.
    exchange = 2 * 4 * min(trained, TOGETHER) + 4 * trained // launch.size
    found = memory.model_copy(update={"gradients": memory.gradients + exchange})
    if launch.strategy == "ddp":
        return found
    layers = workload.architecture.layers
    shared = sum(
        _packed(workload, linear) * len(workload.architecture.numbers(linear))
        for linear in workload.architecture.linears
    )
    gathered = min(shared, GATHERED * shared // layers)
    held = shared // launch.size + gathered - gathered // launch.size
    weights = memory.weights - shared + held
    return found.model_copy(update={"weights": weights, "unpacked": 0})


def _packed(workload: Workload, linear: Linear) -> int:
    """Return the bytes of a stored weight without its scales, which stay whole in each process."""
    stored, width = workload.quantizer.stored_bytes(linear), BYTES[workload.quantizer.dtype()]
    sizes = (linear.weights * width, linear.weights, linear.weights // 2)
    return max(size for size in sizes if size <= (stored or 0))
