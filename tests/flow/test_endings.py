"""What a person and the record are told of a training that ended before its last step."""

from __future__ import annotations

import json

import pytest

from .conftest import Workdir


@pytest.mark.nightly
@pytest.mark.slow
def test_a_run_that_the_clock_ended_says_so_and_says_how_to_get_it_again(workdir: Workdir) -> None:
    status, _, err = workdir.call("run", "pico.yaml", "--set", "train.max_hours=1e-9")
    assert status == 0
    assert "ended by max_hours after step 1 of" in err
    assert "train.stop_after_steps=1" in err
    (record,) = workdir.folder.glob("store/runs/*/record.json")
    steps = {step["name"]: step for step in json.loads(record.read_text())["steps"]}
    stopped = steps["train"]["result"]["facts"]["stopped"]
    assert (stopped["by"], stopped["step"]) == ("max_hours", 1)
    clock = steps["train"]["result"]["outputs"]["adapter"]["digest"]

    again = workdir.json("run", "pico.yaml", "--set", "train.stop_after_steps=1")
    by_name = {step["name"]: step for step in again["steps"]}
    assert by_name["train"]["status"] == "ran", "another recipe, and never taken for the other"
    assert clock in json.dumps(by_name["train"]["digest"])


def test_patience_without_held_out_rows_is_refused(workdir: Workdir) -> None:
    workdir.edit("  validation: {count: 6}\n", "")
    workdir.edit(
        "  eval_steps: 3\n  metric_for_best_model: eval_loss\n", "  early_stopping_patience: 2\n"
    )
    workdir.edit("evaluate:\n  - {use: generate, max_new_tokens: 4, cpu_threads: 1}\n", "")
    status, out, _ = workdir.call("validate", "pico.yaml")
    assert status == 2
    assert "`early_stopping_patience` needs a validation set, and there is none" in out
