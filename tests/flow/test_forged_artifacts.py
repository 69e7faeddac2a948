"""Forged artifacts, with every document made to fit; each test says what the forger wanted."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from forgery import change_row, change_values, flip_in_tensor, forge, retrain, rewrite, step
from safetensors.torch import load_file, save_file

from khichdi.runtime.tables import read_table, write_table
from khichdi.runtime.training_states import read_states
from khichdi.schema.digest import described_safetensors
from khichdi.schema.training_states import INDEX

from ..stress.cases.forged_documents import show_recipe
from ..stress.cases.forger import Forger
from ..stress.cases.honest_runs import Honest
from .conftest import Workdir
from .test_audit import artifact, audit, level, run_of

Ran = tuple[Workdir, Any]
MODES = ([], ["--segments", "4"], ["--rerun"])


def test_a_row_that_appears_between_two_steps(own_run: Ran) -> None:
    store = own_run[0].folder / "store"
    forge(run_of(own_run), store, "data/capitals/read", "rows", change_row(7, "output", "EVIL"))
    found = audit(own_run[0], status=1)
    assert found["where"].startswith("data: step data/capitals/filter/max-words#rows, row 5 (id ")


@pytest.mark.parametrize("column", ["id", "reason"])
def test_drops_without_a_column(own_run: Ran, column: str) -> None:
    def take_out(folder: Path) -> None:
        table = pa.table(read_table(folder).to_pydict())
        (folder / "table.arrow").unlink()
        write_table(folder, table.drop_columns([column]))

    name = "mixture/filter/exact-duplicates"
    forge(run_of(own_run), own_run[0].folder / "store", name, "drops", take_out)
    found = audit(own_run[0], status=1)
    assert found["where"] == f"data: step {name}, shape of its artifacts"


def test_a_validation_row_that_was_trained_on(own_run: Ran) -> None:
    store, name = own_run[0].folder / "store", "split"
    held = read_table(artifact(own_run, name, "validation")).column("id").to_pylist()[0]
    forge(run_of(own_run), store, name, "train", change_row(0, "id", held))
    found = audit(own_run[0], status=1)
    assert found["where"] == f"data: step split, row {held}, times it is there"


def test_a_prediction_whose_score_its_references_do_not_give(own_run: Ran) -> None:
    name = "evaluate/generate/adapter"
    better = change_values(lambda values: values[0].update(exact_match=1.0))
    forge(run_of(own_run), own_run[0].folder / "store", name, "predictions", better)
    count = len(json.loads((artifact(own_run, name, "predictions") / "values.json").read_bytes()))
    mean = {"exact_match": 1 / count}
    forge(
        run_of(own_run), own_run[0].folder / "store", name, "metrics",
        change_values(lambda values: values.update(mean)),
    )  # fmt: skip

    def claim(record: Any) -> None:
        step(record, name)["result"]["facts"]["metrics"].update(mean)
        record["metrics"].update(mean)

    rewrite(run_of(own_run), "record.json", claim)
    found = level(audit(own_run[0], status=1), "metrics")
    assert "exact_match: it says 1.0, its references give 0.0" in found["findings"][0]["derived"]


def test_an_adapter_that_is_not_of_the_last_state(own_run: Ran) -> None:
    states = read_states(artifact(own_run, "train", "states"))
    assert states.adapter_step == states.bounds[-1].step
    (name, *_) = states.bounds[-1].tensors["adapter"]
    flip = flip_in_tensor(name.replace(".default", ""), 3)
    forge(run_of(own_run), own_run[0].folder / "store", "train", "adapter", flip)
    found = audit(own_run[0], status=1)
    assert found["where"].startswith(f"adapter: step train#adapter, tensor {name} of the state")


def test_a_setting_of_the_adapter_that_was_taken_out(own_run: Ran) -> None:
    def shorten(folder: Path) -> None:
        path = folder / "adapter_config.json"
        config = json.loads(path.read_text())
        assert config.pop("target_parameters") is None
        path.write_text(json.dumps(config))

    forge(run_of(own_run), own_run[0].folder / "store", "train", "adapter", shorten)
    for mode in MODES[1:]:
        found = audit(own_run[0], *mode, status=1)
        assert found["where"].endswith("adapter_config.json, target_parameters")


def test_a_score_that_is_said_twice(own_run: Ran) -> None:
    def twice(folder: Path) -> None:
        path = folder / "values.json"
        path.write_text(path.read_text().replace("{", '{"exact_match": 1.0,', 1))

    name = "evaluate/generate/adapter"
    forge(run_of(own_run), own_run[0].folder / "store", name, "metrics", twice)
    found = audit(own_run[0], status=1)
    assert found["where"] == f"metrics: step {name}#metrics, content digest"


def test_a_state_whose_index_says_another(own_run: Ran) -> None:
    states = read_states(artifact(own_run, "train", "states"))
    kept = states.bounds[0]

    def flip(folder: Path) -> None:
        path = folder / kept.folder / "adapter.safetensors"
        raw = bytearray(path.read_bytes())
        raw[-1] ^= 1
        path.write_bytes(raw)

    forge(run_of(own_run), own_run[0].folder / "store", "train", "states", flip)
    found = audit(own_run[0], status=1)
    assert found["where"] == "steps: step train#states, digest of what its index says"


def test_a_state_of_an_adapter_of_another_rank(own_run: Ran) -> None:
    states = read_states(artifact(own_run, "train", "states"))
    kept = states.bounds[0]

    def halve(folder: Path) -> None:
        path = folder / kept.folder / "adapter.safetensors"
        found = {
            name: tensor[: len(tensor) // 2].clone() for name, tensor in load_file(path).items()
        }
        save_file(found, path)
        made = kept.model_copy(
            update={"tensors": {**kept.tensors, "adapter": described_safetensors(path)}}
        )
        index = states.model_copy(update={"bounds": (made, *states.bounds[1:])})
        (folder / INDEX).write_text(index.model_dump_json(indent=1) + "\n")
        commitments.append(made.digest())

    commitments: list[str] = []
    run, store = run_of(own_run), own_run[0].folder / "store"
    forge(run, store, "train", "states", halve)
    retrain(run, store, lambda trace: trace[kept.step - 1].update(state=commitments[0]))
    assert audit(own_run[0])["verdict"] == "identical"
    found = audit(own_run[0], "--segments", "4", status=1)
    assert found["where"].startswith("steps: step train")


def test_a_base_file_that_is_a_link_to_another(own_run: Ran) -> None:
    folder = artifact(own_run, "base", "files")
    path = folder / "config.json"
    shutil.copyfile(path, folder.parent / "config.json")
    folder.chmod(0o755)
    path.unlink()
    path.symlink_to(folder.parent / "config.json")
    for mode in MODES:
        found = audit(own_run[0], *mode, status=1)
        assert found["where"] == "base weights: step base#files, file config.json"


def test_a_training_said_to_have_been_stopped_early(own_run: Ran) -> None:
    run, store = run_of(own_run), own_run[0].folder / "store"
    states = read_states(artifact(own_run, "train", "states"))
    last = states.bounds[1]

    def cut_states(folder: Path) -> None:
        ending = last.model_copy(update={"kept": False})
        shorter = states.model_copy(
            update={"bounds": (states.bounds[0], ending), "adapter_step": last.step}
        )
        (folder / INDEX).write_text(shorter.model_dump_json(indent=1) + "\n")
        shutil.rmtree(folder / last.folder)
        for state in states.bounds[2:-1]:
            shutil.rmtree(folder / state.folder)

    def cut(trace: Any) -> None:
        del trace[last.step :]

    forge(run, store, "train", "states", cut_states)
    retrain(run, store, cut)

    def stop(record: Any) -> None:
        stopped = {"by": "max_hours", "after": last.step, "of": states.bounds[-1].step}
        step(record, "train")["result"]["facts"]["stopped"] = stopped

    rewrite(run, "record.json", stop)
    for mode in MODES[1:]:
        assert audit(own_run[0], *mode, status=1)["verdict"] == "diverged"


@pytest.mark.parametrize("name", ["export/other/model.safetensors", "adapter/deep/er.bin"])
def test_a_model_in_the_folder_that_no_step_made(own_run: Ran, name: str) -> None:
    path = run_of(own_run) / name
    path.parent.mkdir(parents=True)
    path.write_bytes(b"x")
    assert name in audit(own_run[0], status=1)["where"]


def test_a_recipe_that_its_own_base_cannot_follow(own_run: Ran) -> None:
    run = run_of(own_run)
    forger = Forger(Honest(own_run[0].folder / "store", run.name, run, run))
    text = (run / "recipe" / "pico.yaml").read_text()
    show_recipe(forger, text.replace("target_modules: all-linear", "target_modules: [q_projx]"))
    assert audit(own_run[0])["verdict"] == "identical"
    for mode in MODES[1:]:
        found = audit(own_run[0], *mode, status=1)
        assert found["where"].startswith("steps: step train")
