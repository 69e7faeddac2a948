"""What the `qlora` runtime says of its length, before anything is trained."""

from __future__ import annotations

from typing import Any

import pytest

from khichdi.cli.main import main
from khichdi.plugins.builtin.runtime.qlora.batches import plan_steps
from khichdi.plugins.builtin.runtime.qlora.intervals import interval
from khichdi.plugins.builtin.runtime.qlora.plugin import Qlora, QloraParams

LATER = ("loraplus_lr_ratio", "lr_scheduler_kwargs", "evals_per_epoch", "loss_watchdog_threshold",
         "loss_watchdog_patience")  # fmt: skip


def test_parameters_that_came_later_are_written_out_only_where_they_are_set() -> None:
    assert not QloraParams().model_dump().keys() & set(LATER)
    params: dict[str, Any] = {"evals_per_epoch": 4, "loss_watchdog_patience": 2}
    assert QloraParams(**params).model_dump().items() >= params.items()


@pytest.mark.parametrize(
    ("setting", "moves"),
    [
        ("train.loraplus_lr_ratio=16", True),
        ("train.evals_per_epoch=2", True),
        ("train.eval_steps=0.25", True),
        ("train.loss_watchdog_threshold=9", True),
        ("train.loss_watchdog_patience=3", False),  # its default
        ("train.saves_per_epoch=2", False),
        ("train.save_steps=0.5", False),
        ("data.tasks.sample={use: slice, rows: ':100'}", True),
    ],
)
def test_they_move_the_recipe_hash_as_they_move_results(
    setting: str, moves: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    def hashed(*more: str) -> str:
        assert main(["hash", "quickstart", "-q", *more]) == 0
        return capsys.readouterr().out.split()[-1]

    assert (hashed("--set", setting) != hashed()) is moves


@pytest.mark.parametrize(
    "params",
    [
        {"eval_steps": 7},
        {"eval_steps": 0.1},
        {"eval_steps": 0.001},
        {"evals_per_epoch": 4},
        {"evals_per_epoch": 100},
        {"num_epochs": 3, "evals_per_epoch": 2},
        {"num_epochs": 3},
        {"max_steps": 30, "eval_steps": 0.5},
    ],
    ids=str,
)
def test_evaluations_are_estimated_as_many_as_there_are(params: dict[str, Any]) -> None:
    packs = 53
    plans = plan_steps(packs, QloraParams(**params), 1)
    every = interval(params.get("eval_steps"), params.get("evals_per_epoch"), plans)
    due = [p.last_of_epoch if every is None else p.step % every == 0 for p in plans]
    due[-1] = True
    expected = 1 + sum(due)  # and one before the first step
    schedule = Qlora(QloraParams(**params)).schedule()
    assert schedule.steps(packs) == len(plans)
    assert abs(schedule.evaluations(len(plans)) - expected) <= params.get("num_epochs", 1)
