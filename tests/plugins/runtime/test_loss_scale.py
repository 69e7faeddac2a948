"""A scaled loss in float16: the rule of torch's own scaler, resumed and replayed with the rest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jobs
import pytest
import torch

from khichdi.plugins import Progress
from khichdi.plugins.builtin.quantizer.none import NoneParams, NoQuantizer
from khichdi.plugins.builtin.runtime.qlora import loss_scale
from khichdi.plugins.builtin.runtime.qlora.loss_scale import LossScale

HALF = NoQuantizer(NoneParams(dtype="float16"))
PARAMS: dict[str, Any] = {"loss_scaling": "dynamic", "save_steps": 1, "neftune_noise_alpha": None}


class StopError(Exception):
    pass


def run(base: Path, folder: Path, **more: Any) -> Any:
    changes = {"quantizer": HALF, "train": jobs.packs(6, 64), **more}
    job = jobs.job(base, folder / "work", folder / "out", **changes)
    return jobs.train(PARAMS, job)


def test_the_rule_is_that_of_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loss_scale, "PATIENCE", 3)
    overflows = [True, False, False, False, False, True, True, False, False, False, False]
    ours, theirs = LossScale(), torch.amp.GradScaler("cpu", init_scale=65536.0, growth_interval=3)
    weight = torch.nn.Parameter(torch.ones(2))
    optimizer = torch.optim.SGD([weight], lr=0.0)
    for overflow in overflows:
        assert ours.value == theirs.get_scale()
        theirs.scale(weight.sum() * (torch.inf if overflow else 1.0)).backward()
        theirs.step(optimizer)
        theirs.update()
        optimizer.zero_grad()
        ours.update(overflowed=overflow)
    assert ours.value == theirs.get_scale()
    assert ours.skipped == sum(overflows)


def test_steps_that_overflow_change_nothing_and_are_said(
    tiny_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loss_scale, "START", 2.0**40)
    trace = run(tiny_base, tmp_path).trace
    skipped = [entry["skipped"] for entry in trace]
    first = skipped.index(False) if False in skipped else len(skipped)
    assert skipped[0]
    assert skipped[:first] == [True] * first
    scales = [entry["loss_scale"] for entry in trace]
    assert scales[: first + 1] == [2.0 ** (40 - n) for n in range(len(scales))][: first + 1]
    assert len({entry["learning_rate"] for entry in trace[: first + 1]}) == 1


def test_training_in_float16_learns_and_resumes_to_the_same_bits(
    tiny_base: Path, tmp_path: Path
) -> None:
    whole = run(tiny_base, tmp_path / "whole")
    assert whole.metrics["eval_loss"] < whole.metrics["eval_loss_before"]
    assert not any(entry["skipped"] for entry in whole.trace[1:])

    def stop(progress: Progress) -> None:
        if progress.done == 4:
            raise StopError

    folder = tmp_path / "stopped"
    with pytest.raises(StopError):
        run(tiny_base, folder, report=stop)
    again = run(tiny_base, folder)
    same = [jobs.outcome(r, f / "out") for r, f in ((whole, tmp_path / "whole"), (again, folder))]
    assert same[0] == same[1]
