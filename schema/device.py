"""A device to train on: its memory and its rates."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Device:
    """The memory and the rates of one device.

    Attributes:
        name: its name on the command line.
        title: the name its maker gives it.
        memory_bytes: None where it differs by machine.
        flops: dense bfloat16 rate with float32 sums, per second.
        bandwidth: bytes of memory read or written per second.
        realised: share of `flops` that a training step reaches.
        launch: seconds that a layer takes at least, forward and backward.
        gpu: whether memory is a GPU's.
    """

    name: str
    title: str
    memory_bytes: int | None
    flops: float
    bandwidth: float
    realised: float
    launch: float
    gpu: bool = True
