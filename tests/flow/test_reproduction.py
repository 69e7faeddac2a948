"""The same recipe and bytes give the same result: elsewhere, otherwise, and after a kill."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from .conftest import Workdir, make_workdir

VARIATIONS: list[dict[str, str]] = [
    {"PYTHONHASHSEED": "1", "TZ": "Asia/Kolkata", "OMP_NUM_THREADS": "1"},
    {"PYTHONHASHSEED": "2", "TZ": "America/Lima", "LC_ALL": "C", "OMP_NUM_THREADS": "2"},
]


@pytest.mark.slow
@pytest.mark.parametrize("variation", VARIATIONS, ids=["one-thread", "two-threads"])
def test_elsewhere_and_otherwise_the_bits_are_the_same(
    shared_run: tuple[Workdir, Any], tmp_path: Path, tiny_base: Path, variation: dict[str, str]
) -> None:
    _, before = shared_run
    workdir = make_workdir(tmp_path / "another" / "place", tiny_base)
    workdir.environment = variation
    workers = 0 if variation["OMP_NUM_THREADS"] == "1" else 3
    workdir.edit("  cpu_threads", f"  dataloader_num_workers: {workers}\n  cpu_threads")
    after = workdir.json("run", "pico.yaml")
    assert after["recipe_hash"] == before["recipe_hash"]
    assert after["result_hash"] == before["result_hash"]
    ours, theirs = (Path(d["adapter"]) for d in (before, after))
    weights = "adapter_model.safetensors"
    assert (ours / weights).read_bytes() == (theirs / weights).read_bytes()
    configs = [json.loads((one / "adapter_config.json").read_text()) for one in (ours, theirs)]
    bases = [config.pop("base_model_name_or_path") for config in configs]
    assert configs[0] == configs[1]
    assert Path(bases[0]).name == Path(bases[1]).name  # in its store, by the digest of its bytes


def finished_checkpoints(work: Path) -> int:
    """Count the checkpoints that another process has finished in the folder it works in."""
    try:
        return len(list(work.glob("*/step-*/manifest.json")))
    except OSError:  # it removed a folder meanwhile
        return 0


@pytest.mark.slow
@pytest.mark.parametrize("after_checkpoints", [1, 2])
def test_killed_in_training_it_goes_on_to_the_same_result(
    shared_run: tuple[Workdir, Any], workdir: Workdir, after_checkpoints: int
) -> None:
    _, uninterrupted = shared_run
    process = workdir.start("run", "pico.yaml", "--json")
    work = workdir.folder / "store" / "work"
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline and process.poll() is None:
        if finished_checkpoints(work) >= after_checkpoints:
            break
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL, "it ended before it could be killed"
    again = workdir.json("run", "pico.yaml")
    assert "train" in workdir.ran(again)
    assert "pack" not in workdir.ran(again)
    assert again["result_hash"] == uninterrupted["result_hash"]


NO_DIFFERENCE = {
    "a comment": ("name: pico   # a comment", "name: pico"),
    "a name": ("name: pico ", "name: nano "),
    "quoting": ("use: qlora", 'use: "qlora"'),
    "a default written out": ("  sequence_len: 96", "  sequence_len: 96\n  sample_packing: true"),
    "number format": ("learning_rate: 1.0e-3", "learning_rate: 0.001"),
    "an operational setting": ("  eval_steps: 3", "  eval_steps: 3\n  save_total_limit: 7"),
}


@pytest.mark.parametrize("change", NO_DIFFERENCE)
def test_what_means_the_same_has_the_same_recipe_hash(
    own_run: tuple[Workdir, Any], change: str
) -> None:
    workdir, before = own_run
    workdir.edit(*NO_DIFFERENCE[change])
    document = workdir.json("hash", "pico.yaml")
    assert document["locked"]
    assert document["recipe_hash"] == before["recipe_hash"]


def test_order_of_data_sets_and_keys_does_not_change_the_hash(own_run: tuple[Workdir, Any]) -> None:
    workdir, before = own_run
    text = workdir.recipe.read_text()
    head, rest = text.split("data:\n")
    data, tail = rest.split("mixture:\n")
    capitals, colours = data.split("  colours:\n")
    mixture, train = tail.split("train:\n")
    workdir.recipe.write_text(
        f"{head}train:\n{train}data:\n  colours:\n{colours}{capitals}mixture:\n{mixture}"
    )
    assert workdir.json("hash", "pico.yaml")["recipe_hash"] == before["recipe_hash"]


DIFFERENCE = {
    "seed": ("seed: 5", "seed: 6"),
    "a filter": ("below: 6", "below: 7"),
    "the sampler": ("fraction: 0.9", "fraction: 0.8"),
    "the template": ("template: {use: alpaca}", "template: {use: question-answer}"),
    "the quantizer": ("compute_dtype: bfloat16", "compute_dtype: bfloat16, quant_type: fp4"),
    "the adapter": ("alpha: 16", "alpha: 17"),
    "the order": ("mixture:\n", "mixture:\n  order: by-source\n"),
    "validation": ("validation: {count: 6}", "validation: {count: 7}"),
    "evaluation": ("max_new_tokens: 4", "max_new_tokens: 5"),
    "the name of a data set": ("  colours:\n", "  colors:\n"),
}


@pytest.mark.parametrize("change", DIFFERENCE)
def test_what_means_another_thing_has_another_recipe_hash(
    own_run: tuple[Workdir, Any], change: str
) -> None:
    workdir, before = own_run
    workdir.edit(*DIFFERENCE[change])
    assert workdir.json("hash", "pico.yaml")["recipe_hash"] != before["recipe_hash"]
