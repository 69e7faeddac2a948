"""The Python API on a recipe that ran: read, run again from the store, and audited."""

from __future__ import annotations

import json
import shutil
from typing import Any

import pytest

import khichdi
from khichdi.schema.errors import InputError, StoreError
from khichdi.schema.plan import PlanStep
from khichdi.schema.record import RecordedStep

from .conftest import Workdir

Ran = tuple[Workdir, Any]


class Log(khichdi.Observer):
    def __init__(self) -> None:
        self.started_steps: list[str] = []
        self.finished_steps: list[tuple[str, str]] = []
        self.notices: list[str] = []

    def notice(self, text: str) -> None:
        self.notices.append(text)

    def started(self, step: PlanStep) -> None:
        self.started_steps.append(step.name)

    def finished(self, step: RecordedStep) -> None:
        self.finished_steps.append((step.name, step.status))


def test_a_run_of_the_command_is_read_by_the_api(shared_run: Ran) -> None:
    workdir, document = shared_run
    run = khichdi.open_run(store=workdir.folder / "store")
    assert str(run.folder) == document["run"]
    assert run.name == run.folder.name
    assert (run.recipe_hash, run.result_hash) == (document["recipe_hash"], document["result_hash"])
    assert run.metrics == document["metrics"]
    assert (run.adapter / "adapter_model.safetensors").is_file()
    assert run.plan().recipe_hash == run.recipe_hash
    train, held_out = run.rows(), run.rows("validation")
    assert held_out.num_rows == 6
    assert not set(train["id"].to_pylist()) & set(held_out["id"].to_pylist())
    assert run.evaluations == ["evaluate/generate/base", "evaluate/generate/adapter"]
    assert {len(run.predictions(name)) for name in run.evaluations} == {6}
    assert run.predictions() == run.predictions("evaluate/generate/adapter")
    with pytest.raises(InputError, match="no split `test`"):
        run.rows("test")
    with pytest.raises(InputError, match="no evaluation `nope`"):
        run.predictions("nope")


def test_what_the_command_ran_is_cached_for_the_api(shared_run: Ran) -> None:
    workdir, document = shared_run
    project = khichdi.open_recipe(workdir.recipe, store=workdir.folder / "store")
    assert project.pending() == []
    log = Log()
    run = project.run(log)
    assert log.started_steps == []
    assert log.finished_steps == [(step["name"], "cached") for step in document["steps"]]
    assert (str(run.folder), run.result_hash) == (document["run"], document["result_hash"])


def test_a_changed_recipe_runs_only_what_it_changes_and_says_why(own_run: Ran) -> None:
    workdir, document = own_run
    store = workdir.folder / "store"
    project = khichdi.open_recipe(
        workdir.recipe, settings={"evaluate[generate].max_new_tokens": 2}, store=store
    )
    pending = project.pending()
    log = Log()
    run = project.run(log)
    assert log.started_steps == pending
    assert pending == ["evaluate/generate/base", "evaluate/generate/adapter"]
    assert any("changed since" in text for text in log.notices)
    assert run.folder.parent == store / "runs"
    assert run.record.settings == ("evaluate[generate].max_new_tokens=2",)
    before = khichdi.open_run(document["run"].rsplit("/", 1)[1], store=store)
    assert run.result_hash != before.result_hash


@pytest.mark.slow
def test_an_audit_by_the_api_is_that_of_the_command(own_run: Ran) -> None:
    workdir, _ = own_run
    run = khichdi.open_run(store=workdir.folder / "store")
    report = khichdi.audit(run)
    assert report.to_json() == workdir.json("audit", run.name)
    assert report.verdict == "identical"
    record = json.loads((run.folder / "record.json").read_text())
    record["metrics"]["exact_match"] = 1.0
    (run.folder / "record.json").write_text(json.dumps(record))
    with pytest.raises(InputError, match=r"record\.json"):
        khichdi.audit(run)


def test_rows_that_the_store_lost_are_an_error(own_run: Ran) -> None:
    workdir, _ = own_run
    run = khichdi.open_run(store=workdir.folder / "store")
    shutil.rmtree(workdir.folder / "store" / "artifacts")
    with pytest.raises(StoreError, match=r"split#train any more"):
        run.rows()
