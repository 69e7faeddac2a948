"""Runs and their records compared with recipes and with one another; values set for one run."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from khichdi.schema.record import Record
from khichdi.schema.seal import SEAL

from .conftest import Workdir


def test_a_run_is_the_same_as_the_recipe_it_ran(shared_run: tuple[Workdir, Any]) -> None:
    workdir, ran = shared_run
    run = Path(ran["run"])
    for name in (run.name, str(run), str(run / "record.json")):
        found = workdir.json("diff", name, "pico.yaml")
        assert (found["same"], found["reruns"], found["outcome"]) == (True, [], None)
        assert workdir.json("diff", "pico.yaml", name)["same"]


def test_a_record_alone_says_what_a_changed_recipe_reruns(
    shared_run: tuple[Workdir, Any], tmp_path: Path
) -> None:
    """Without the run's folder, its recipe's files or the store."""
    workdir, ran = shared_run
    record = tmp_path / "given.json"
    shutil.copy(Path(ran["run"]) / "record.json", record)
    words = ["--set", "train.learning_rate=2.0e-3", "--store", str(tmp_path / "none")]
    found = workdir.json("diff", str(record), "pico.yaml", *words, status=1)
    assert [(c["path"], c["before"], c["after"]) for c in found["changes"]] == [
        ("train.learning_rate", 0.001, 0.002)
    ]
    assert found["causes"] == {
        "train": "its parameters (learning_rate)",
        "evaluate/generate/adapter": "its input train",
    }
    assert found["effects"]["before"]["rows"] == ran_rows(ran)
    assert found["effects"]["after"]["rows"] is None


def ran_rows(ran: Any) -> int:
    record = unsealed(ran)
    split = next(step for step in record["steps"] if step["name"] == "split")
    return int(split["result"]["facts"]["rows_out"])


def test_other_bytes_are_a_difference_from_the_run(own_run: tuple[Workdir, Any]) -> None:
    workdir, ran = own_run
    path = workdir.folder / "colours.jsonl"
    path.write_text(path.read_text().replace("Rome", "Oslo", 1))
    workdir.json("lock", "pico.yaml", "--update", "data/colours/source")
    found = workdir.json("diff", Path(ran["run"]).name, "pico.yaml", status=1)
    assert [change["path"] for change in found["changes"]] == ["bytes of data/colours/source"]
    assert found["causes"]["data/colours/source"] == "its bytes"
    assert "data/capitals/read" not in found["reruns"]


def unsealed(ran: Any) -> Any:
    """Return a run's record as one that may be edited: without its seal."""
    record = json.loads((Path(ran["run"]) / "record.json").read_text())
    del record[SEAL]
    return record


def seal(path: Path, record: Any) -> None:
    """Write a record that was edited, with a seal that fits it."""
    path.write_text(Record._text({**record, SEAL: Record._seal(record)}))


def test_another_plugin_version_is_named_as_the_cause(
    shared_run: tuple[Workdir, Any], tmp_path: Path
) -> None:
    workdir, ran = shared_run
    record = unsealed(ran)
    step = next(s for s in record["steps"] if s["name"] == "data/colours/read")
    step["version"] += 1
    step["result"]["key"] = "sha256:" + "0" * 64
    seal(tmp_path / "old.json", record)
    found = workdir.json("diff", str(tmp_path / "old.json"), "pico.yaml", status=1)
    assert [change["path"] for change in found["changes"]] == ["version of data/colours/read"]
    version = step["version"]
    assert found["causes"]["data/colours/read"] == f"plugin version {version} -> {version - 1}"


@pytest.mark.slow
def test_two_runs_differ_in_recipe_and_outcome(own_run: tuple[Workdir, Any]) -> None:
    workdir, first = own_run
    setting = "train.learning_rate=5.0e-3"
    second = workdir.json("run", "pico.yaml", "--set", setting)
    assert workdir.ran(second) == ["train", "evaluate/generate/adapter"]
    names = [Path(run["run"]).name for run in (first, second)]

    # The same hash as the file edited that way, and nothing is left to run.
    workdir.edit("learning_rate: 1.0e-3", "learning_rate: 5.0e-3")
    edited = workdir.json("run", "pico.yaml")
    assert edited["recipe_hash"] == second["recipe_hash"]
    assert workdir.ran(edited) == []

    # What was set is on record, and the run of the edited file is another run.
    assert edited["run"] != second["run"]
    assert workdir.json("runs", names[1])["settings"] == [setting]
    assert f"--set {setting}" in workdir.call("runs", names[1])[1]
    assert workdir.json("runs", Path(edited["run"]).name)["settings"] == []

    found = workdir.json("diff", *names, status=1)
    assert [change["path"] for change in found["changes"]] == ["train.learning_rate"]
    outcome = found["outcome"]
    assert not outcome["same"]
    assert outcome["digests"][0] == "train"
    assert outcome["environment"] == {}
    assert outcome["metrics"]["train_loss"] == [
        run["metrics"]["train_loss"] for run in (first, second)
    ]
    text = workdir.call("diff", *names)[1]
    assert "rows the same    tokens the same" in text
    assert "first to differ  train" in text
    assert workdir.json("diff", names[1], Path(edited["run"]).name)["outcome"]["same"]


def test_the_same_recipe_with_another_outcome_is_a_difference(
    shared_run: tuple[Workdir, Any], tmp_path: Path
) -> None:
    workdir, ran = shared_run
    record = unsealed(ran)
    record["result_hash"] = "sha256:" + "1" * 64
    record["environment"]["packages"]["torch"] = "0.1"
    seal(tmp_path / "else.json", record)
    found = workdir.json("diff", Path(ran["run"]).name, str(tmp_path / "else.json"), status=1)
    assert found["changes"] == []
    assert found["outcome"]["environment"]["torch"][1] == "0.1"


@pytest.mark.slow
def test_the_lock_keeps_what_the_file_asks_for(own_run: tuple[Workdir, Any]) -> None:
    workdir, _ = own_run
    lock = workdir.folder / "pico.lock"
    before = lock.read_text()
    shutil.copy(workdir.folder / "colours.jsonl", workdir.folder / "more.jsonl")
    setting = "data.colours.source.include=[colours.jsonl, more.jsonl]"
    status, _, err = workdir.call("run", "pico.yaml", "--locked", "--set", setting)
    assert (status, "data/colours/source" in err) == (2, True)
    ran = workdir.json("run", "pico.yaml", "--set", setting, "--set", "train.max_steps=3")
    assert "data/colours/read" in workdir.ran(ran)
    assert "data/capitals/read" not in workdir.ran(ran)
    assert lock.read_text() == before
    own = json.loads(next((Path(ran["run"]) / "recipe").glob("*.lock")).read_text())
    assert len(own["materials"]["data/colours/source"]["files"]) == 2


@pytest.mark.slow
def test_a_first_run_with_a_value_set_pins_the_rest_for_good(own_run: tuple[Workdir, Any]) -> None:
    workdir, _ = own_run
    lock = workdir.folder / "pico.lock"
    before = json.loads(lock.read_text())
    lock.unlink()
    shutil.copy(workdir.folder / "colours.jsonl", workdir.folder / "more.jsonl")
    words = ["--set", "data.colours.source.include=[more.jsonl]", "--set", "train.max_steps=3"]
    workdir.json("run", "pico.yaml", *words)
    after = json.loads(lock.read_text())
    del before["materials"]["data/colours/source"]
    assert after["materials"] == before["materials"]


def test_what_cannot_be_compared_is_said(shared_run: tuple[Workdir, Any], tmp_path: Path) -> None:
    workdir, ran = shared_run
    status, _, err = workdir.call("diff", "pico.yaml", ran["run"], "--set", "seed=1")
    assert (status, "nothing can be set in it" in err) == (2, True)
    record = unsealed(ran)
    for change, expected in (
        ({"bound": None}, "does not hold the recipe that ran"),
        ({"bound": {**record["bound"], "sede": 1}}, "does not fit the installed plugins: sede"),
        ({"record": 9}, "not a valid record: record"),
    ):
        seal(tmp_path / "bad.json", {**record, **change})
        status, _, err = workdir.call("diff", str(tmp_path / "bad.json"), "pico.yaml")
        assert (status, expected in err) == (2, True), err
    status, _, err = workdir.call("diff", "pico.yaml", "2020-01-01-0000-gone")
    assert (status, "there is no recipe 2020-01-01-0000-gone" in err) == (2, True)
