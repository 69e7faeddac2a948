"""Several processes learn what one learns, to the bit; and end together when one ends."""

from __future__ import annotations

import multiprocessing
import os
import signal
from pathlib import Path
from typing import Any

import jobs
import pytest
from failing_adapter import FailsOnRank1

from khichdi.plugins import Launch, Progress, StepError
from khichdi.plugins.builtin.adapter.lora import Lora, LoraParams
from khichdi.plugins.builtin.quantizer.bitsandbytes import BitsAndBytes, BitsAndBytesParams

STEPS = {"gradient_accumulation_steps": 3, "max_steps": 4, "save_steps": 1}
"""Three micro batches a step: one of two processes has none left in the second turn."""


class Trainings:
    """Trainings of the miniature, each in folders of its own."""

    def __init__(self, base: Path, root: Path) -> None:
        self.base, self.root, self.count = base, root, 0

    def __call__(self, launch: Launch | None = None, **changes: Any) -> dict[str, Any]:
        self.count += 1
        folder = self.root / str(self.count)
        work, output = changes.pop("work", folder / "work"), folder / "output"
        params = STEPS | changes.pop("params", {})
        job = jobs.job(self.base, work, output, launch=launch, **changes)
        result = jobs.train(params, job)
        return {"outcome": jobs.outcome(result, output), "measured": result.measured}


@pytest.fixture(scope="module")
def alone(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Return what one process learns, undisturbed."""
    return Trainings(tiny_base, tmp_path_factory.mktemp("alone"))()["outcome"]


@pytest.fixture
def trained(tiny_base: Path, tmp_path: Path) -> Trainings:
    return Trainings(tiny_base, tmp_path)


@pytest.mark.slow
def test_two_processes_learn_what_one_learns(trained: Trainings, alone: Any) -> None:
    """Dropout, noise and an odd number of micro batches included; and the record tells."""
    two = trained(Launch(2))
    assert two["outcome"] == alone
    assert (two["measured"]["processes"], two["measured"]["strategy"]) == (2.0, "ddp")


@pytest.mark.nightly
@pytest.mark.slow
def test_a_sharded_base_learns_what_a_whole_one_learns(trained: Trainings, alone: Any) -> None:
    sharded = trained(Launch(2, "fsdp"))
    assert sharded["outcome"] == alone
    assert sharded["measured"]["strategy"] == "fsdp"


@pytest.mark.slow
@pytest.mark.parametrize("launch", [Launch(3), Launch(4, "fsdp")], ids=["three", "four sharded"])
@pytest.mark.parametrize(
    "changes",
    [
        {"params": {"gradient_accumulation_steps": 1, "micro_batch_size": 2}},
        {"params": {"gradient_checkpointing": True, "optimizer": "paged_adamw_8bit"}},
        {"quantizer": jobs.FULL, "params": {"max_hours": 9, "early_stopping_patience": 3}},
        {"quantizer": BitsAndBytes(BitsAndBytesParams(bits=8))},
    ],
    ids=["one micro batch", "checkpointing", "not quantized, by the clock", "8 bits"],
)
def test_no_number_of_processes_moves_a_bit(
    trained: Trainings, launch: Launch, changes: dict[str, Any]
) -> None:
    one, several = trained(**changes), trained(launch, **changes)
    assert several["outcome"] == one["outcome"]


@pytest.mark.nightly
@pytest.mark.slow
def test_a_sharded_process_holds_less_of_the_base(trained: Trainings, tmp_path: Path) -> None:
    """Of a base that is mostly layers, each of two processes holds about half of these."""
    from miniature import make_base

    trained.base = make_base(tmp_path / "deep", num_hidden_layers=16)
    whole, half = trained(Launch(2)), trained(Launch(2, "fsdp"))
    assert half["outcome"] == whole["outcome"]
    held = [float(one["measured"]["parameter_bytes"]) for one in (whole, half)]
    layers = 16 * (2 * 64 * 64 + 2 * 64 * 32 + 3 * 64 * 128) / 2  # half a byte each
    assert held[0] - held[1] == pytest.approx(layers / 2, rel=0.05)


@pytest.mark.nightly
@pytest.mark.parametrize(
    ("before", "after"),
    [
        (Launch(2), None),
        pytest.param(None, Launch(2), marks=pytest.mark.slow),
        pytest.param(Launch(2, "fsdp"), Launch(2, "fsdp"), marks=pytest.mark.slow),
        pytest.param(Launch(3), Launch(2, "fsdp"), marks=pytest.mark.slow),
    ],
    ids=["two then one", "one then two", "sharded", "three then two sharded"],
)
def test_a_stopped_training_goes_on_with_another_number(
    trained: Trainings,
    alone: Any,
    tmp_path: Path,
    before: Launch | None,
    after: Launch | None,
) -> None:
    seen: list[int] = []

    def stop(progress: Progress) -> None:
        if progress.done == 2:
            raise KeyboardInterrupt

    work = tmp_path / "work"
    with pytest.raises(KeyboardInterrupt):
        trained(before, work=work, report=stop)
    assert not multiprocessing.active_children()
    resumed = trained(after, work=work, report=lambda progress: seen.append(progress.done))
    assert seen[0] > 2, "it did not go on from its checkpoint"
    assert resumed["outcome"] == alone


@pytest.mark.slow
def test_a_killed_process_ends_all_and_is_named(
    trained: Trainings, alone: Any, tmp_path: Path
) -> None:
    """The system's way with what takes too much memory. The next run goes on."""

    def kill(progress: Progress) -> None:
        if progress.done == 2:
            last = max(multiprocessing.active_children(), key=lambda child: child.pid or 0)
            os.kill(last.pid or 0, signal.SIGKILL)

    work = tmp_path / "work"
    with pytest.raises(StepError, match=r"rank 1 of 2, after step [234]: was ended by SIGKILL"):
        trained(Launch(2), work=work, report=kill)
    assert not multiprocessing.active_children()
    assert trained(work=work)["outcome"] == alone


@pytest.mark.slow
def test_a_process_that_raises_ends_all_and_is_named(trained: Trainings) -> None:
    adapter = FailsOnRank1(LoraParams(r=8))
    with pytest.raises(
        StepError, match="rank 1 of 2, before its first step: the adapter failed"
    ) as e:
        trained(Launch(2), adapter=adapter)
    assert e.value.hint == "pick it up; the next run resumes from the last checkpoint"
    assert not multiprocessing.active_children()


@pytest.mark.slow
def test_an_adapter_that_reads_the_base_is_not_sharded(trained: Trainings) -> None:
    """It runs with whole bases, and is refused with parts of them."""
    changes: dict[str, Any] = {"adapter": Lora(LoraParams(r=8, use_dora=True))}
    assert trained(Launch(2), **changes)["outcome"] == trained(**changes)["outcome"]
    with pytest.raises(StepError, match="Dora reads the base's weights"):
        trained(Launch(2, "fsdp"), **changes)


def test_a_plugin_that_no_other_process_can_import_is_refused(trained: Trainings) -> None:
    class Hidden(Lora):
        pass

    with pytest.raises(StepError, match=r"cannot be sent to other processes: .*Hidden"):
        trained(Launch(2), adapter=Hidden(LoraParams(r=8)))
