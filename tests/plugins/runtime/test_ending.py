"""Training that ends before its last step: what it keeps, what it says, how to get it again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jobs
import pytest
from pydantic import ValidationError

from khichdi.plugins import Progress
from khichdi.plugins.builtin.runtime.qlora.plugin import QloraParams

ADAPTER = "adapter_model.safetensors"
WORSE: dict[str, Any] = {
    "lr_scheduler": "constant",
    "warmup_steps": 0,
    "learning_rate": 0.05,
    "eval_steps": 1,
    "num_epochs": 4,
}
"""On held-out rows of other tokens than those that are learnt, this soon gets worse."""


class KilledError(Exception):
    """Stands for a kill."""


@pytest.fixture
def once(tiny_base: Path, tmp_path: Path) -> Any:
    """Return a training of the miniature, each in a folder of its own or the one named."""
    numbers = iter(range(100))

    def run(params: dict[str, Any], work: str = "", **changes: Any) -> dict[str, Any]:
        folder = tmp_path / str(next(numbers))
        output = folder / "output"
        job = jobs.job(tiny_base, tmp_path / (work or f"{folder.name}/work"), output, **changes)
        result = jobs.train(params, job)
        return jobs.outcome(result, output) | {"result": result}

    return run


def other_rows() -> Any:
    return jobs.packs(2, seed=3, first=200)


@pytest.mark.parametrize("patience", [1, 2])
def test_the_watchdog_ends_a_training_whose_loss_is_too_high(once: Any, patience: int) -> None:
    limits = {"loss_watchdog_threshold": 0.01, "loss_watchdog_patience": patience}
    ended = once({**WORSE, **limits}, validation=other_rows())["result"]
    assert ended.stopped == {"by": "loss_watchdog_threshold", "step": patience, "of": 12}
    assert len(ended.trace) == patience
    above = once({**WORSE, "loss_watchdog_threshold": 1e6}, validation=other_rows())["result"]
    assert above.stopped is None


def test_patience_ends_training_with_the_best_weights(once: Any) -> None:
    whole = once(WORSE, validation=other_rows())
    losses = [entry["eval_loss"] for entry in whole["result"].trace]
    best = losses.index(min(losses)) + 1
    assert best + 2 < len(losses), "the example must get worse to show anything"
    early = once({**WORSE, "early_stopping_patience": 2}, validation=other_rows())
    assert early["result"].stopped == {"by": "early_stopping_patience", "step": best + 2, "of": 12}
    # The state that a training ends in is hashed, wherever that is.
    traces = [[{**e, "state": ""} for e in run["result"].trace] for run in (early, whole)]
    assert traces[0] == traces[1][: best + 2]
    assert early["metrics"]["best_step"] == best
    assert early["files"][ADAPTER] == whole["files"][ADAPTER]
    assert whole["result"].stopped is None


def test_patience_that_is_not_used_up_changes_nothing(once: Any) -> None:
    params = {"eval_steps": 1}
    assert once({**params, "early_stopping_patience": 6})["result"].stopped is None
    with_patience, without = once({**params, "early_stopping_patience": 6}), once(params)
    assert with_patience["files"] == without["files"]
    assert with_patience["trace"] == without["trace"]


def test_the_clock_ends_training_with_its_best_weights_and_the_same_bits_come_again(
    once: Any,
) -> None:
    """Less time than a step takes: the first step is taken, evaluated and kept."""
    by_clock = once({"max_hours": 1e-9})
    assert by_clock["result"].stopped == {
        "by": "max_hours", "step": 1, "of": 6,
        "again": {"max_hours": None, "stop_after_steps": 1},
    }  # fmt: skip
    assert by_clock["metrics"]["best_step"] == 1
    again = once({"stop_after_steps": 1})
    assert again["result"].stopped == {"by": "stop_after_steps", "step": 1, "of": 6}
    for key in ("files", "trace", "metrics"):
        assert by_clock[key] == again[key]


def test_steps_before_the_end_are_those_of_the_whole_training(once: Any) -> None:
    """`max_steps` would bend the learning rate; `stop_after_steps` takes the same steps."""
    whole, stopped, short = once({}), once({"stop_after_steps": 3}), once({"max_steps": 3})
    rates = [[e["learning_rate"] for e in run["result"].trace] for run in (whole, stopped, short)]
    assert rates[1] == rates[0][:3]
    assert rates[2] != rates[0][:3]
    assert stopped["result"].trace == whole["result"].trace[:3]


def test_time_enough_changes_nothing(once: Any) -> None:
    timed, plain = once({"max_hours": 100}), once({})
    assert timed["result"].stopped is None
    assert (timed["files"], timed["trace"]) == (plain["files"], plain["trace"])


@pytest.mark.parametrize(
    "params", [{"stop_after_steps": 4}, {**WORSE, "early_stopping_patience": 2}], ids=str
)
def test_killed_on_its_way_to_an_early_end_it_ends_at_the_same_step(
    once: Any, params: dict[str, Any]
) -> None:
    def stop(progress: Progress) -> None:
        if progress.done == at:
            raise KilledError

    saved = {**params, "save_steps": 1}
    whole = once(saved, validation=other_rows())
    last = whole["result"].stopped["step"]
    for at in (1, last):  # at the last, only the adapter is left to write
        work = f"work-{at}"
        with pytest.raises(KilledError):
            once(saved, work=work, validation=other_rows(), report=stop)
        again = once(saved, work=work, validation=other_rows())
        assert again["result"].stopped == whole["result"].stopped
        assert (again["files"], again["trace"]) == (whole["files"], whole["trace"])


def test_time_spent_before_a_kill_counts(once: Any) -> None:
    """A second budget of the same size is not granted: the first checkpoint has it used up."""
    from khichdi.plugins.builtin.runtime.qlora.stopping import Ending

    ending = Ending(QloraParams(max_hours=1), total=9)
    assert not ending.is_last(1, [])
    ending.restore({"stopped": None, "spent": 3600.0})
    assert ending.is_last(2, [])
    again = {"max_hours": None, "stop_after_steps": 2}
    assert ending.reason(2) == {"by": "max_hours", "step": 2, "of": 9, "again": again}


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"early_stopping_patience": 2, "metric_for_best_model": None}, "keeps none"),
        ({"stop_after_steps": 9, "max_steps": 8}, "`max_steps` ends at 8"),
        ({"max_hours": 0}, "greater than 0"),
    ],
)
def test_what_cannot_be_meant_is_refused(wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        QloraParams(**wrong)
