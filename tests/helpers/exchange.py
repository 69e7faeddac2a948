"""Gradients that several processes exchange, beside the same ones added up in one."""

from __future__ import annotations

from pathlib import Path

import torch

from khichdi.plugins import Launch
from khichdi.plugins.builtin.runtime.qlora.distributed import grad_sync as gradients
from khichdi.plugins.builtin.runtime.qlora.distributed.rendezvous import Meeting
from khichdi.plugins.builtin.runtime.qlora.distributed.world import joined

SHAPES = [(3, 5), (7,), (2, 2, 2), (11,), (1,), (4, 6)]
ABSENT = 3
"""The number of the parameter that never has a gradient; the one before has one now and then."""


def parameters() -> list[torch.nn.Parameter]:
    """Return parameters of two types."""
    kinds = [torch.float32] * 4 + [torch.bfloat16] * 2
    tensors = [torch.zeros(shape, dtype=kind) for shape, kind in zip(SHAPES, kinds, strict=True)]
    return [torch.nn.Parameter(tensor) for tensor in tensors]


def gradient(number: int, place: int, like: torch.Tensor) -> torch.Tensor | None:
    """Return the gradient of a parameter in a micro batch: of sizes that make order tell."""
    if place == ABSENT or (place == ABSENT - 1 and number != 1):
        return None
    generator = torch.Generator().manual_seed(100 * number + place)
    values = torch.randn(like.shape, generator=generator)
    return (values * 10.0 ** (number % 5)).to(like.dtype)


def added(count: int) -> list[torch.Tensor | None]:
    """Return the gradient of a step as one process adds it up."""
    totals: list[torch.Tensor | None] = [None] * len(SHAPES)
    for number in range(count):
        for place, parameter in enumerate(parameters()):
            new, before = gradient(number, place, parameter), totals[place]
            if new is not None:
                totals[place] = new if before is None else before + new
    return totals


def exchange(local: int, folder: Path, size: int, count: int) -> None:
    """Add up the gradient of two steps as one of several processes, and write the second."""
    torch.set_num_threads(1)
    gradients.TOGETHER = 20  # so that it takes several messages
    trained = parameters()
    with joined(Launch(size), local, Meeting(path=folder / "meeting")) as processes:
        exchanged = gradients.Gradients(processes, trained)
        for _ in range(2):
            exchanged.begin(count)
            for number in processes.own_numbers(count):
                for place, parameter in enumerate(trained):
                    parameter.grad = gradient(number, place, parameter)
                exchanged.add()
            exchanged.finish()
    torch.save([parameter.grad for parameter in trained], folder / f"{local}.pt")
