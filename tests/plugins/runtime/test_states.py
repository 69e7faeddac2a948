"""States at the ends of segments: the same whatever happens, and enough to go on from."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import jobs
import pytest

from khichdi.plugins import Replay, StepError, TrainingResult, TrainingSegment
from khichdi.plugins.builtin.runtime.qlora.plugin import Qlora, QloraParams
from khichdi.plugins.builtin.runtime.qlora.segments.segment_states import ends, keep, kept
from khichdi.schema.digest import file_sha256
from khichdi.schema.training_states import States

PARAMS: dict[str, Any] = {
    "replay_segments": 3, "num_epochs": 2, "cpu_threads": 1, "gradient_accumulation_steps": 2,
    "neftune_noise_alpha": 5, "learning_rate": 1e-2, "warmup_steps": 1,
    "optimizer": "paged_adamw_32bit", "max_grad_norm": 0.5,
}  # fmt: skip


def train(base: Path, folder: Path, **params: Any) -> TrainingResult:
    the_job = jobs.job(base, folder / "work", folder / "output")
    return jobs.train({**PARAMS, **params}, the_job)


def states_of(result: TrainingResult) -> States:
    assert result.states is not None
    return result.states


def segments_of(result: TrainingResult) -> list[TrainingSegment]:
    states, files = states_of(result), result.states_folder
    assert files is not None
    return [TrainingSegment.of(states, n, files) for n in range(1, len(states.bounds) + 1)]


def replay(base: Path, folder: Path, segments: list[TrainingSegment], **params: Any) -> Replay:
    the_job = jobs.job(base, folder / "replay", folder / "adapters")
    return Qlora(QloraParams(**{**PARAMS, **params})).replay(the_job, segments)


def test_segments_are_of_like_length_and_never_empty() -> None:
    assert sorted(ends(10, 4)) == [3, 5, 8, 10]
    assert sorted(ends(3, 8)) == [1, 2, 3]
    assert sorted(ends(7, 1)) == [7]
    for steps in range(1, 40):
        for segments in range(1, 12):
            found = [0, *sorted(ends(steps, segments))]
            lengths = [b - a for a, b in pairwise(found)]
            assert sum(lengths) == steps
            assert len(lengths) == min(steps, segments)
            assert max(lengths) - min(lengths) <= 1


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"optimizer": "adamw_torch"},
        {"optimizer": "paged_adamw_8bit"},
        {"optimizer": "adamw_torch_8bit", "loss_scaling": "dynamic"},
        {"optimizer": "paged_adamw_32bit", "metric_for_best_model": None},
        {"stop_after_steps": 5, "gradient_checkpointing": True},
    ],
    ids=str,
)
def test_each_segment_executed_again_alone_gives_the_same_bits(
    tiny_base: Path, tmp_path: Path, params: dict[str, Any]
) -> None:
    result = train(tiny_base, tmp_path, **params)
    states, segments = states_of(result), segments_of(result)
    assert len(segments) == 3
    found = replay(tiny_base, tmp_path, segments[::-1], **params)  # in no order of training
    assert found.weights == result.weights
    for segment, again, state in zip(
        segments[::-1], found.segments, states.bounds[::-1], strict=True
    ):
        assert again.trace == result.trace[segment.first - 1 : segment.last]
        assert again.state == state
        assert again.state.digest() == again.trace[-1]["state"]
    (adapter,) = (again.adapter for again in found.segments if again.adapter)
    for name in ("adapter_model.safetensors", "adapter_config.json"):
        assert file_sha256(adapter / name) == file_sha256(tmp_path / "output" / name)


def test_states_do_not_depend_on_when_checkpoints_are_saved(
    tiny_base: Path, tmp_path: Path
) -> None:
    one = train(tiny_base, tmp_path / "one")
    two = train(tiny_base, tmp_path / "two", save_steps=1, save_total_limit=1)
    assert states_of(one).digest() == states_of(two).digest()
    assert one.trace == two.trace


def killed(base: Path, folder: Path, at: int) -> None:
    options = json.dumps({"params": {**PARAMS, "save_steps": 1}, "die_at": at})
    words = [sys.executable, jobs.__file__, str(base), str(folder / "work"), str(folder), options]
    process = subprocess.run(words, check=False, capture_output=True, env=os.environ)
    assert process.returncode == -signal.SIGKILL, process.stderr


def test_a_training_that_was_killed_keeps_the_same_states(tiny_base: Path, tmp_path: Path) -> None:
    whole = train(tiny_base, tmp_path / "whole")
    killed(tiny_base, tmp_path / "killed", at=5)
    again = train(tiny_base, tmp_path / "killed", save_steps=1)
    assert states_of(again).digest() == states_of(whole).digest()
    for state in states_of(whole).bounds[:-1]:
        for group in state.tensors:
            name = f"states/{state.folder}/{group}.safetensors"
            files = [tmp_path / run / "work" / name for run in ("whole", "killed")]
            assert files[0].read_bytes() == files[1].read_bytes()


@pytest.mark.slow
def test_a_state_that_was_damaged_meanwhile_is_made_again(tiny_base: Path, tmp_path: Path) -> None:
    whole = train(tiny_base, tmp_path / "whole")
    killed(tiny_base, tmp_path / "killed", at=5)
    states = tmp_path / "killed" / "work" / "states"
    path = states / "step-00000002" / "optimizer.safetensors"
    raw = bytearray(path.read_bytes())
    raw[-5] ^= 1
    path.write_bytes(raw)
    again = train(tiny_base, tmp_path / "killed", save_steps=1)
    assert states_of(again).digest() == states_of(whole).digest()
    assert kept(tmp_path / "killed" / "work", again.trace) == list(states_of(whole).bounds)


def test_a_state_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    import torch

    groups = {"adapter": {"a": torch.arange(6.0)}, "optimizer": {"a|exp_avg": torch.ones(2)}}
    state = keep(tmp_path, 3, groups, {"a|step": 3}, files=True)
    trace = [{"step": 1}, {"step": 3, "state": state.digest()}]
    assert kept(tmp_path, trace) == [state]
    partial = tmp_path / "states" / "partial-1-3"
    (tmp_path / "states" / state.folder).rename(partial)
    assert kept(tmp_path, trace) is None


def test_a_state_of_another_training_is_refused_in_words(tiny_base: Path, tmp_path: Path) -> None:
    result = train(tiny_base, tmp_path)
    segment = segments_of(result)[1]
    assert segment.folder is not None
    for path in segment.folder.glob("adapter*"):
        path.unlink()
    with pytest.raises(StepError, match="cannot be read"):
        replay(tiny_base, tmp_path, [segment])
    with pytest.raises(StepError, match="steps"):
        replay(tiny_base, tmp_path, [replace(segments_of(result)[0], last=99)])
