"""Trackers see what the trace has, and change no bit."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import jobs
import pytest

from khichdi.plugins import StepError
from khichdi.plugins.builtin.runtime.qlora.plugin import QloraParams
from khichdi.plugins.builtin.runtime.qlora.tracking import Tracking, own_environment

TENSORBOARD = pytest.mark.skipif(
    find_spec("tensorboard") is None, reason="the package `tensorboard` is not installed"
)


def train(base: Path, folder: Path, params: dict[str, Any]) -> dict[str, Any]:
    output = folder / "output"
    result = jobs.train(params, jobs.job(base, folder / "work", output))
    return jobs.outcome(result, output) | {"result": result}


@TENSORBOARD
def test_tensorboard_has_what_the_trace_has(tiny_base: Path, tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    shown = {"report_to": ("tensorboard",), "logging_dir": str(tmp_path / "shown")}
    environment = dict(os.environ)
    tracked = train(tiny_base, tmp_path / "one", shown)
    assert dict(os.environ) == environment
    (folder,) = (tmp_path / "shown").iterdir()
    assert folder.name.startswith("mistral-")
    events = EventAccumulator(str(folder))
    events.Reload()
    for name, key in (("train/loss", "loss"), ("train/grad_norm", "grad_norm")):
        found = [(event.step, event.value) for event in events.Scalars(name)]
        wanted = [(entry["step"], entry[key]) for entry in tracked["result"].trace]
        assert found == [(step, pytest.approx(value, rel=1e-6)) for step, value in wanted]
    assert [event.step for event in events.Scalars("eval/loss")] == [3, 6]

    plain = train(tiny_base, tmp_path / "two", {})
    for key in ("files", "trace", "metrics", "weights"):
        assert tracked[key] == plain[key]


def test_a_tracker_that_is_not_installed_is_refused_before_training(
    tiny_base: Path, tmp_path: Path
) -> None:
    missing = [name for name in ("wandb", "mlflow", "trackio") if find_spec(name) is None]
    if not missing:
        pytest.skip("every tracker is installed here")
    with pytest.raises(StepError, match=f"not installed: {missing[0]}") as caught:
        train(tiny_base, tmp_path, {"report_to": (missing[0],)})
    assert f"pip install {missing[0]}" in (caught.value.hint or "")


@TENSORBOARD
def test_a_tracker_that_fails_is_left_out_and_said(
    tiny_base: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Its folder cannot be made where a file is; training takes all its steps."""
    (tmp_path / "file").write_text("in the way")
    shown = {"report_to": ("tensorboard",), "logging_dir": str(tmp_path / "file")}
    tracked = train(tiny_base, tmp_path / "one", shown)
    assert tracked["metrics"]["optimizer_steps"] == 6
    assert "tensorboard is left out" in caplog.text


def test_without_trackers_nothing_is_written(tmp_path: Path) -> None:
    tracking = Tracking(QloraParams(logging_dir=str(tmp_path / "none")), "name", total=1)
    tracking.begin(None, 0)
    tracking.step({"step": 1, "epoch": 0, "loss": 1.0})
    tracking.end()
    assert list(tmp_path.iterdir()) == []


def test_what_trackers_do_to_the_environment_is_undone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEPT", "before")
    before = dict(os.environ)
    with own_environment(("wandb",)):
        os.environ["KEPT"] = "changed"
        os.environ["ADDED"] = "1"
    assert dict(os.environ) == before
