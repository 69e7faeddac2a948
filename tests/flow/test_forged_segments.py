"""A forged segment, state or trace is named by an audit of segments."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from forgery import change_values, flip_in_tensor, forge, retrain
from safetensors.torch import load_file, save_file

from khichdi.runtime.training_states import read_states
from khichdi.schema.digest import described_safetensors
from khichdi.schema.training_states import INDEX

from .segment_audits import (
    Ran,
    artifact,
    audit,
    commit_trace,
    forge_segment,
    level,
    nonce_that_draws,
    run_of,
    swap_state,
)

Tensors = dict[str, Any]
Numbers = dict[str, Any]


def test_a_forged_segment_is_found_when_it_is_drawn(own_run: Ran) -> None:
    _, last = forge_segment(own_run)
    nonce = nonce_that_draws(own_run, 2)
    found = audit(own_run[0], "latest", "--segments", "1", "--nonce", nonce, status=1)
    assert found["verdict"] == "diverged"
    assert found["where"] == (
        f"steps: step train#trace, segment 2 of 4, training step {last}, loss"
    )
    one, other = level(found, "steps")["findings"][:2]
    assert (one["claimed"], one["derived"] == 0.25) == (0.25, False)
    assert other["output"] == "states"
    assert other["at"].startswith(
        f"segment 2 of 4, state after training step {last}, adapter tensor "
    )
    assert ", element " in other["at"]
    assert other["claimed"] != other["derived"]
    verdicts = {one["segment"]: one["verdict"] for one in found["replays"][0]["replayed"]}
    assert verdicts[2] == "diverged"
    assert next(one["error"] for one in found["replays"][0]["replayed"] if one["segment"] == 2) > 0


def test_a_forged_state_is_no_start_that_the_next_segment_can_be_honest_from(own_run: Ran) -> None:
    forge_segment(own_run)
    found = audit(own_run[0], "latest", "--segments", "4", status=1)
    verdicts = [one["verdict"] for one in found["replays"][0]["replayed"]]
    assert verdicts[0] == "identical"
    assert verdicts[1:3] == ["diverged", "diverged"]
    assert verdicts[3] == "identical"  # it goes on honestly from what it claims


def test_a_training_that_ended_early_is_found_whatever_is_drawn(own_run: Ran) -> None:
    """The forger trained less, and everything that is shown is honest."""
    store = own_run[0].folder / "store"
    states = read_states(artifact(own_run, "train", "states"))
    steps = states.bounds[2].step

    def shorter(folder: Path) -> None:
        value = states.to_json()
        value["bounds"] = value["bounds"][:3]
        value["bounds"][2]["kept"] = False
        value["adapter_step"] = min(states.adapter_step, steps)
        shutil.rmtree(folder / states.bounds[2].folder)
        (folder / INDEX).write_text(json.dumps(value))

    def of_that_step(folder: Path) -> None:
        state = artifact(own_run, "train", "states") / states.bounds[2].folder
        tensors = load_file(state / "adapter.safetensors")
        adapter = {name.replace(".default", ""): tensor for name, tensor in tensors.items()}
        save_file(adapter, folder / "adapter_model.safetensors", metadata={"format": "pt"})

    forge(run_of(own_run), store, "train", "adapter", of_that_step)
    forge(run_of(own_run), store, "train", "states", shorter)
    retrain(run_of(own_run), store, lambda trace: trace.__delitem__(slice(steps, None)))
    found = audit(own_run[0], "latest", "--segments", "1", status=1)
    assert found["where"] == "steps: step train#trace, training steps in all"
    finding = level(found, "steps")["findings"][0]
    assert (finding["claimed"], finding["derived"]) == (steps, states.bounds[-1].step)


def test_a_training_divided_otherwise_than_its_recipe_says_is_found(own_run: Ran) -> None:
    """Few large segments would be drawn less often where it matters."""
    store = own_run[0].folder / "store"
    states = read_states(artifact(own_run, "train", "states"))

    def fewer(folder: Path) -> None:
        value = states.to_json()
        value["bounds"] = value["bounds"][1:]
        shutil.rmtree(folder / states.bounds[0].folder)
        (folder / INDEX).write_text(json.dumps(value))

    forge(run_of(own_run), store, "train", "states", fewer)
    step = states.bounds[0].step
    drop = change_values(lambda trace: trace[step - 1].pop("state"))
    forge(run_of(own_run), store, "train", "trace", drop)
    assert audit(own_run[0], "latest")["verdict"] == "identical"
    found = audit(own_run[0], "latest", "--segments", "3", status=1)
    assert found["where"] == "steps: step train#states, ends of segments"
    finding, other = level(found, "steps")["findings"]
    assert finding["claimed"] == [kept.step for kept in states.bounds[1:]]
    assert finding["derived"] == [kept.step for kept in states.bounds]
    assert other["at"] == f"segment 1 of 3, training step {step}, state"
    assert other["claimed"] is None


def test_a_forged_segment_that_is_not_drawn_is_not_seen_and_that_is_said(own_run: Ran) -> None:
    forge_segment(own_run)
    nonce = nonce_that_draws(own_run, 1)
    found = audit(own_run[0], "latest", "--segments", "1", "--nonce", nonce)
    assert level(found, "steps")["basis"] == "sampled"
    assert found["replays"][0]["odds"][0]["probability"] == 0.25


def test_an_adapter_that_no_segment_gives_is_found_without_executing(own_run: Ran) -> None:
    weights = artifact(own_run, "train", "adapter") / "adapter_model.safetensors"
    tensor = sorted(described_safetensors(weights))[2]
    forge(
        run_of(own_run), own_run[0].folder / "store", "train", "adapter", flip_in_tensor(tensor, 5)
    )
    nonce = nonce_that_draws(own_run, 1)
    module = tensor.removesuffix(".weight")
    for words in ([], ["--segments", "1", "--nonce", nonce]):
        found = audit(own_run[0], "latest", *words, status=1)
        assert found["where"].startswith(f"adapter: step train#adapter, tensor {module}.")


def test_states_that_the_trace_is_not_committed_to_are_found_without_executing(
    own_run: Ran,
) -> None:
    forge(run_of(own_run), own_run[0].folder / "store", "train", "states", swap_state(2))
    found = audit(own_run[0], "latest", status=1)
    _, last = read_states(artifact(own_run, "train", "states")).segments()[1]
    assert found["where"] == f"steps: step train#trace, training step {last}, state"


@pytest.mark.parametrize("group", ["adapter", "optimizer"])
def test_a_state_whose_bytes_are_not_its_digests_is_named(own_run: Ran, group: str) -> None:
    states = artifact(own_run, "train", "states")
    path = next(states.glob(f"step-*/{group}.safetensors"))
    raw = bytearray(path.read_bytes())
    raw[-3] ^= 1
    path.chmod(0o644)
    path.write_bytes(raw)
    found = audit(own_run[0], "latest", "--segments", "4", status=1)
    name = path.relative_to(states).as_posix()
    assert found["where"] == f"steps: step train#states, file {name}"
    assert found["replays"] == []


def drop_an_entry(tensors: Tensors, numbers: Numbers) -> None:
    del tensors[min(tensors)]


def flatten_a_moment(tensors: Tensors, numbers: Numbers) -> None:
    tensors[min(tensors)] = tensors[min(tensors)].reshape(-1)


def fill_with_nan(tensors: Tensors, numbers: Numbers) -> None:
    for moment in tensors.values():
        moment.fill_(float("nan"))


def set_numbers(value: object) -> Callable[[Tensors, Numbers], None]:
    return lambda tensors, numbers: numbers.update(dict.fromkeys(numbers, value))


STATES: dict[str, tuple[Callable[[Tensors, Numbers], None], str]] = {
    "without an entry of the optimizer": (drop_an_entry, "entry state1 of base_model"),
    "without tensors": (lambda tensors, numbers: tensors.clear(), "entry state1 of base_model"),
    "without numbers": (lambda tensors, numbers: numbers.clear(), "entry step of base_model"),
    "with moments of another shape": (flatten_a_moment, "entry state1 of base_model"),
    "with moments that are no numbers": (fill_with_nan, "the validation loss is nan"),
    "with a text for a count": (set_numbers("x"), "entry step of base_model"),
    "before the first step": (set_numbers(-1), "|step is -1 after "),
    "after steps that were not taken": (set_numbers(10**6), "|step is 1000000 after "),
    "with a learning rate": (
        lambda tensors, numbers: numbers.update({"nobody|lr": -5}), "entry lr of nobody",
    ),
}  # fmt: skip


@pytest.mark.parametrize("which", STATES)
def test_a_state_that_nothing_can_be_executed_from_is_no_way_out(
    own_run: Ran, which: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A segment that cannot be executed would be unverifiable, which is not a divergence."""
    change, named = STATES[which]

    def forged(folder: Path) -> None:
        states = read_states(folder)
        path = folder / states.bounds[1].folder / "optimizer.safetensors"
        tensors, numbers = load_file(path), dict(states.bounds[1].numbers)
        change(tensors, numbers)
        path.unlink()
        save_file(tensors, path)
        value = states.to_json()
        value["bounds"][1]["tensors"]["optimizer"] = described_safetensors(path)
        value["bounds"][1]["numbers"] = numbers
        (folder / INDEX).write_text(json.dumps(value))

    forge(run_of(own_run), own_run[0].folder / "store", "train", "states", forged)
    commit_trace(own_run)
    assert audit(own_run[0], "latest")["verdict"] == "identical"
    found = audit(own_run[0], "latest", "--segments", "4", status=1)
    assert found["where"] == "steps: step train#trace, training steps"
    assert named in level(found, "steps")["findings"][0]["claimed"]
    assert "Traceback" not in caplog.text
