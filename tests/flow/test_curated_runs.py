"""Runs that end with their data: a recipe of data alone, and a whole recipe ended early."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import khichdi
from khichdi.cli.main import main
from khichdi.schema.lock import Lock

from .conftest import RECIPE, make_workdir

DATA = RECIPE[RECIPE.index("data:") : RECIPE.index("train:")]
HEAD = "recipe: 1\nname: pico-data\nseed: 5\n"


@pytest.fixture
def folder(tmp_path: Path, tiny_base: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the working folder, with a whole recipe and one of its data alone."""
    found = make_workdir(tmp_path / "work", tiny_base).folder
    (found / "data.yaml").write_text(HEAD + DATA)
    monkeypatch.chdir(found)
    monkeypatch.setenv("KHICHDI_STORE", str(found / "store"))
    return found


def said(capsys: pytest.CaptureFixture[str], *words: str) -> Any:
    status = main([*words, "--json"])
    out = capsys.readouterr().out
    assert status == 0, out
    return json.loads(out)


def test_a_recipe_of_data_alone_runs_and_passes_an_audit(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    done = said(capsys, "run", "data.yaml")
    assert done["adapter"] is None
    assert done["steps"][-1]["name"] == "split"
    run = khichdi.open_run()
    assert run.rows().num_rows + run.rows("validation").num_rows == 23
    with pytest.raises(khichdi.KhichdiError, match="trained nothing"):
        _ = run.adapter
    hashed, executed = khichdi.audit(run), khichdi.audit(run, rerun=True)
    assert (hashed.verdict, hashed.passed) == ("identical", False)
    assert executed.passed, executed.levels

    assert said(capsys, "diff", "data.yaml", "latest")["same"]
    assert said(capsys, "hash", "data.yaml")["recipe_hash"] == done["recipe_hash"]
    assert {step["status"] for step in said(capsys, "plan", "data.yaml")["steps"]} == {"cached"}
    assert "17 rows to train on and 6" in said(capsys, "card", "latest")["card"]
    said(capsys, "bundle", "latest", "--with-data", "-o", "data.bundle")
    assert said(capsys, "audit", "data.bundle", "--rerun")["passed"]
    rehearsed = said(capsys, "rehearse", "data.yaml")
    assert [step["name"] for step in rehearsed["steps"]] == [s["name"] for s in done["steps"]]


def test_a_whole_recipe_ended_early_is_a_run_of_the_smaller_plan(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    alone = said(capsys, "run", "data.yaml")
    early = said(capsys, "run", "pico.yaml", "--until", "mixture")
    assert early["recipe_hash"] == alone["recipe_hash"]
    assert early["result_hash"] == alone["result_hash"]
    assert {step["status"] for step in early["steps"]} == {"cached"}, "the store is shared"
    assert early["run"] != alone["run"]

    run = khichdi.open_run(early["run"])
    assert run.record.until == "split"
    assert khichdi.audit(run, rerun=True).passed
    kept = Lock.from_json((run.folder / "recipe" / "pico.lock").read_bytes(), "pico.lock")
    written = Lock.from_json((folder / "pico.lock").read_bytes(), "pico.lock")
    assert "base" not in kept.materials
    assert "base" not in written.materials, "only what the run needs is pinned"
    changed = said(capsys, "diff", early["run"], "pico.yaml")
    assert changed["changes"] == []
    assert said(capsys, "lock", "pico.yaml")
    assert said(capsys, "run", "pico.yaml", "--until", "data/colours")["steps"][-1]["name"] == (
        "data/colours/sample"
    )
    complete = Lock.from_json((folder / "pico.lock").read_bytes(), "pico.lock")
    assert "base" in complete.materials, "a run that ends early removes no pin"


def test_a_run_that_ends_before_the_mixture_says_so(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said(capsys, "run", "data.yaml", "--until", "data/colours")
    run = khichdi.open_run()
    with pytest.raises(khichdi.KhichdiError, match="ended with data/colours/sample"):
        run.rows()
    assert main(["card", "latest"]) == 2
    assert "before there was a data set" in capsys.readouterr().err
    assert khichdi.audit(run, rerun=True).passed


@pytest.mark.parametrize("claim", [None, "mixture", "data/colours/sample", "nowhere"])
def test_a_forged_end_does_not_fit_the_recipe(
    folder: Path, capsys: pytest.CaptureFixture[str], claim: str | None
) -> None:
    said(capsys, "run", "pico.yaml", "--until", "split")
    run = khichdi.open_run()
    path = run.folder / "record.json"
    forged = run.record.model_copy(update={"until": claim})
    path.write_text(forged.to_text())
    report = khichdi.audit(run.folder)
    assert report.where is not None
    assert report.where.startswith("recipe: "), report.where
