"""A device to train on: its memory and its rates."""

from __future__ import annotations

from dataclasses import dataclass

UNPACKED = 2.78
"""Bytes read and written to unpack a 4-bit weight: 0.52 read, 2 written, and its scales twice."""
BANDWIDTH = 0.9
"""Share of a device's memory bandwidth that copies come to."""


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

    def rate(self, width: int) -> float:
        """Return the operations per second that it reaches in a type of so many bytes."""
        return self.flops * self.realised * (2 / width)

    def copying(self, count: float) -> float:
        """Return the seconds that reading and writing so many bytes takes."""
        return count / (self.bandwidth * BANDWIDTH)
