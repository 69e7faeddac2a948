"""Gradients of several processes are those of one, to the bit."""

from __future__ import annotations

from multiprocessing import get_context
from pathlib import Path

import pytest
import torch
from exchange import added, exchange, parameters

from khichdi.plugins import Launch
from khichdi.plugins.builtin.runtime.qlora.distributed import grad_sync as gradients
from khichdi.plugins.builtin.runtime.qlora.distributed.world import Processes


@pytest.mark.parametrize(("size", "count"), [(2, 5), pytest.param(3, 7, marks=pytest.mark.slow)])
def test_the_sum_is_that_of_one_process(tmp_path: Path, size: int, count: int) -> None:
    """Of values so unlike that another order would show; and what has none stays without."""
    context = get_context("spawn")
    arguments = [(local, tmp_path, size, count) for local in range(size)]
    started = [context.Process(target=exchange, args=some) for some in arguments]
    for process in started:
        process.start()
    for process in started:
        process.join()
    assert [process.exitcode for process in started] == [0] * size
    expected = added(count)
    assert any(one is None for one in expected)
    for local in range(size):
        found = torch.load(tmp_path / f"{local}.pt")
        for one, other in zip(found, expected, strict=True):
            assert (one is None and other is None) or torch.equal(one, other)


def test_parameters_travel_by_type_and_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gradients, "TOGETHER", 20)
    sizes = [[p.numel() for p in some] for some in gradients._together(parameters())]
    assert sizes == [[15], [7, 8], [11], [1], [24]]


@pytest.mark.parametrize(
    ("count", "by_rank"),
    [(4, [[0, 2], [1, 3]]), (3, [[0, 2], [1, 2]]), (1, [[0], [0]]), (0, [[], []])],
)
def test_every_process_has_as_many_turns(count: int, by_rank: list[list[int]]) -> None:
    """Who has none left does the last once more, and it is not counted."""
    assert [Processes(Launch(2), rank).own_numbers(count) for rank in range(2)] == by_rank
    assert Processes().own_numbers(count) == list(range(count))
