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


def test_a_forged_end_does_not_fit_the_recipe(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said(capsys, "run", "pico.yaml", "--until", "split")
    run = khichdi.open_run()
    path = run.folder / "record.json"
    for claim in (None, "mixture", "data/colours/sample", "nowhere"):
        forged = run.record.model_copy(update={"until": claim})
        path.write_text(forged.to_text())
        report = khichdi.audit(run.folder)
        assert report.where is not None
        assert report.where.startswith("recipe: "), report.where


def test_rows_are_written_shown_and_counted(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    done = said(capsys, "run", "data.yaml")
    written = said(capsys, "rows", "latest", "--to", "rows.jsonl")
    assert (written["step"], written["rows"]) == ("split", 23)
    assert written["sides"] == {"train": 17, "validation": 6}
    lines = [json.loads(line) for line in (folder / "rows.jsonl").read_text().splitlines()]
    assert [row["id"] for row in lines if row["split"] == "train"] == (
        khichdi.open_run(done["run"]).rows().column("id").to_pylist()
    )
    assert main(["rows", "latest#data/colours/read"]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert [json.loads(line)["source"] for line in printed] == ["colours"] * 12

    shown = said(capsys, "sample", "latest", "-n", "3", "--seed", "1", "--step", "data/capitals")
    assert (shown["step"], len(shown["rows"]), shown["total"]) == ("data/capitals/sample", 3, 19)
    again = said(capsys, "sample", "latest#data/capitals", "-n", "3", "--seed", "1")
    assert again == shown

    counts = said(capsys, "stats", "latest")
    assert counts["sources"] == {"capitals": 19, "colours": 4}
    assert counts["tokens_note"] == "the rows were not tokenized in this run"
    assert main(["stats", "latest"]) == 0
    assert "23 rows (17 train, 6 validation)" in capsys.readouterr().out


def test_runs_are_told_apart_by_what_was_set_and_what_came_of_it(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said(capsys, "run", "data.yaml")
    said(capsys, "run", "pico.yaml", "--until", "data/colours", "--set", "seed=6")
    assert main(["runs"]) == 0
    early, whole = capsys.readouterr().out.splitlines()  # often of one second: newest first
    assert early.endswith("12 rows  --set seed=6 --until data/colours/sample")
    assert whole.endswith("17 rows")
    listed = said(capsys, "runs")
    assert listed[0]["settings"] == ["seed=6"]
    assert listed[1]["recipe_hash"][7:15] in whole
    assert main(["trace", "latest", "--row", ""]) == 2
    assert "empty id" in capsys.readouterr().err
    dropped = said(capsys, "show-drops", whole.split()[0], "--step", "exact-dup")
    assert dropped["step"] == "mixture/filter/exact-duplicates"


def test_a_set_of_rows_can_be_the_source_of_another_recipe(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said(capsys, "run", "data.yaml")
    first = khichdi.open_run().rows()
    said(capsys, "rows", "latest#mixture", "--to", "rows.jsonl")
    text = "recipe: 1\nname: again\ndata:\n  all:\n"
    text += "    source: {use: files, include: [rows.jsonl]}\n    read: {use: jsonl}\n"
    (folder / "again.yaml").write_text(text + "mixture: {order: by-source}\n")
    said(capsys, "run", "again.yaml")
    again = khichdi.open_run().rows().slice(0, first.num_rows)
    assert again.column("input").to_pylist() == first.column("input").to_pylist()


WRONG = [
    (["rows", "latest#data/nope"], "no step `data/nope`"),
    (["rows", "latest#data/colours/source"], "makes files, not rows"),
    (["rows", "latest#split", "--step", "mixture"], "two steps are named"),
    (["rows", "latest", "--to", "rows.xls"], "no known format"),
    (["sample", "latest", "-n", "0"], "at least 1"),
    (["sample", "latest", "--seed", "-1"], "at least 0"),
    (["stats", "nowhere"], "no finished run"),
]


def test_a_wrong_request_for_rows_says_what_is_there(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said(capsys, "run", "data.yaml")
    for words, message in WRONG:
        assert main(words) == 2, words
        assert message in capsys.readouterr().err
