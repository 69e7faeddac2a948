"""A filter step gives the same bytes however many processes work on it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from row_batches import batch_of, texts_with_near_duplicates

from khichdi.plugins.registry import load_registry
from khichdi.runtime.steps import parallel_filter as shards
from khichdi.runtime.steps.context import Context, Outcome
from khichdi.runtime.steps.filter import filter_rows
from khichdi.runtime.tables import write_table
from khichdi.schema.errors import InputError, StepError
from khichdi.schema.plan import PlanStep

pytestmark = pytest.mark.heavy  # worker processes filter


def step(name: str, params: dict[str, Any]) -> PlanStep:
    version = load_registry().get("filter", name).plugin.version
    return PlanStep.model_validate(
        {
            "name": f"data/mine/filter/{name}",
            "kind": "filter",
            "plugin": {"kind": "filter", "name": name, "version": version, "params": params},
            "key": "sha256:" + "0" * 64,
        }
    )


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a table of 20,000 rows."""
    folder: Path = tmp_path_factory.mktemp("rows")
    texts = texts_with_near_duplicates(500, seed=6) * 40
    write_table(folder, pa.Table.from_batches([batch_of([{"input": text} for text in texts])]))
    return folder


def run(rows: Path, folder: Path, name: str, **params: Any) -> Outcome:
    (folder / "staging").mkdir(parents=True)
    return filter_rows(
        Context(
            step=step(name, params),
            inputs={"rows": rows},
            staging=folder / "staging",
            work=folder,
            origin=None,
            registry=load_registry(),
            report=lambda progress: None,
        )
    )


@pytest.mark.parametrize(
    ("name", "params"),
    [("max-words", {"below": 40}), ("where", {"field": "input", "matches": "ab|xy"})],
)
def test_one_two_and_seven_processes_give_the_same_digests(
    rows: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, params: dict[str, Any]
) -> None:
    started = []
    really = shards._shared_out

    def shared_out(sent: bytes, batches: Any, first: int, count: int) -> Any:
        started.append(count)
        return really(sent, batches, first, count)

    monkeypatch.setattr(shards, "_shared_out", shared_out)
    monkeypatch.setattr(shards, "PAYS", 0.0)
    found = []
    for number in ("1", "2", "7"):
        monkeypatch.setenv("KHICHDI_WORKERS", number)
        outcome = run(rows, tmp_path / number, name, **params)
        assert 0 < outcome.facts["rows_out"] < outcome.facts["rows_in"] == 20_000
        found.append(([made.digest for made in outcome.outputs.values()], outcome.facts))
    assert found[0] == found[1] == found[2]
    assert started == [2, 4]  # of five batches the first is answered here


def test_what_a_worker_refuses_is_said_as_if_it_happened_here(
    rows: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shards, "PAYS", 0.0)
    monkeypatch.setenv("KHICHDI_WORKERS", "2")
    job = shards.FilterJob(
        load_registry().create("filter", "max-words", {"below": 3}), rows, {}, {}, None, None
    )
    monkeypatch.setattr(shards, "_packed", lambda job: refusing(job))
    with pytest.raises(StepError, match=r"no config\.json at their top"):
        list(shards.answers(job))


def refusing(job: shards.FilterJob) -> bytes:
    """Return a job whose filter cannot begin: its model's folder holds a table."""
    import pickle

    filter_ = load_registry().create("filter", "field-similarity", {"at_least": 0.5})
    return pickle.dumps(
        shards.FilterJob(filter_, job.rows, {"embedding": job.rows}, {}, None, None)
    )


def test_a_number_of_workers_that_is_none_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for wrong in ("0", "-1", "two", "1.5"):
        monkeypatch.setenv("KHICHDI_WORKERS", wrong)
        with pytest.raises(InputError, match=f"KHICHDI_WORKERS is `{wrong}`"):
            shards.workers()
    monkeypatch.setenv("KHICHDI_WORKERS", "")
    assert shards.workers() >= 1
