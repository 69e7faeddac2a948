"""A training that was stopped resumes from its newest checkpoint, to the same bits."""

from __future__ import annotations

from typing import Any

import pytest
from trainings import Once, same

from khichdi.plugins import Progress
from khichdi.plugins.builtin.adapter.lora import Lora, LoraParams
from khichdi.plugins.builtin.runtime.qlora import checkpoint


class StopError(Exception):
    pass


def stop_after(step: int) -> Any:
    def report(progress: Progress) -> None:
        if progress.done == step:
            raise StopError

    return report


@pytest.mark.parametrize(
    "optimizer",
    ["adamw_torch", "adamw_8bit", "paged_adamw_8bit", "paged_adamw_32bit", "adamw_torch_4bit"],
)
def test_a_stopped_training_goes_on_to_the_same_bits(once: Once, optimizer: str) -> None:
    # Tensors above 4096 elements, so that 8-bit states are really 8-bit.
    params = {"optimizer": optimizer, "save_steps": 1, "eval_steps": 2}
    adapter = Lora(LoraParams(r=64, dropout=0.05))
    whole = once(params, adapter=adapter)
    work = once.root / "shared-work"
    with pytest.raises(StopError):
        once(params, adapter=adapter, work=work, report=stop_after(4))
    seen: list[Progress] = []
    again = once(params, adapter=adapter, work=work, report=seen.append)
    assert [p.done for p in seen] == [5, 6]
    assert same(whole, again)


def test_damaged_checkpoints_are_passed_over(once: Once) -> None:
    params = {"save_steps": 1, "save_total_limit": 3}
    whole = once(params)
    work = once.root / "shared-work"
    with pytest.raises(StopError):
        once(params, work=work, report=stop_after(4))
    flipped = work / "step-00000004" / "optimizer.safetensors"
    data = bytearray(flipped.read_bytes())
    data[-1] ^= 1
    flipped.write_bytes(bytes(data))
    (work / "step-00000003" / "manifest.json").unlink()
    seen: list[Progress] = []
    again = once(params, work=work, report=seen.append)
    assert [p.done for p in seen] == [3, 4, 5, 6]
    assert same(whole, again)


def test_a_checkpoint_of_another_job_is_not_used(once: Once) -> None:
    work = once.root / "shared-work"
    with pytest.raises(StopError):
        once({"save_steps": 1}, work=work, report=stop_after(2))
    other = {"learning_rate": 2e-2}
    assert same(once(other), once(other, work=work))


def test_only_so_many_checkpoints_are_kept(once: Once) -> None:
    run = once({"save_steps": 1, "save_total_limit": 2})
    kept = sorted(p.name for p in run["work"].glob("step-*"))
    assert kept == ["step-00000005", "step-00000006"]
    assert checkpoint.newest(run["work"], "another") is None


def test_a_finished_training_run_again_only_writes_the_adapter(once: Once) -> None:
    run = once()
    seen: list[Progress] = []
    assert same(run, once(work=run["work"], report=seen.append))
    assert seen == []
