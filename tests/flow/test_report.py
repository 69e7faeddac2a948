"""`recipe report` on real runs: what the page says is what the run's documents say."""

from __future__ import annotations

import base64
import gzip
import json
import re
import shutil
from html import unescape
from pathlib import Path
from typing import Any

import pytest

import khichdi
from khichdi.cli.main import main
from khichdi.schema.printable import printable
from khichdi.schema.rows import prompt_of

from .conftest import Workdir

Ran = tuple[Workdir, Any]


def store_of(ran: Ran) -> str:
    return str(ran[0].folder / "store")


def written(capsys: pytest.CaptureFixture[str], page: Path, ran: Ran, *words: str) -> str:
    status = main(["report", *words, "-o", str(page), "--store", store_of(ran), "--json"])
    document = json.loads(capsys.readouterr().out)
    assert status == 0, document
    assert document["report"] == str(page)
    assert document["bytes"] == page.stat().st_size < 3_000_000
    return page.read_text(encoding="utf-8")


def browsed(page: str, name: str) -> list[Any]:
    packed = re.search(rf'id="{name}-rows">([^<]*)<', page)
    assert packed, name
    found: list[Any] = json.loads(gzip.decompress(base64.b64decode(packed[1])))["rows"]
    return found


def said(prediction: dict[str, Any]) -> str:
    """Return an answer as a page shows it."""
    return printable(prediction["prediction"]) or "(nothing)"


def cells(page: str, *row: str) -> bool:
    """Return whether a table has a row that starts with these cells."""
    body = "".join(
        f'<th scope="row">{cell}</th>' if at == 0 else f"<td[^>]*>{re.escape(cell)}</td>"
        for at, cell in enumerate(row)
    )
    return re.search(body, unescape(page)) is not None


def test_a_page_says_what_the_run_says(
    shared_run: Ran, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = khichdi.open_run(store=store_of(shared_run))
    page = written(capsys, tmp_path / "run.html", shared_run, "latest")
    assert page == written(capsys, tmp_path / "again.html", shared_run, run.name)
    assert run.recipe_hash in page
    assert run.result_hash in page
    for step in run.record.steps:
        facts: Any = step.result.facts
        if facts.get("drops"):
            reason, count = next(iter(facts["drops"].items()))
            given, kept = f"{facts['rows_in']:,}", f"{facts['rows_out']:,}"
            assert cells(page, step.name, given, kept, f"{reason} {count}")
        for digest in step.digests().values():
            assert digest in page
    loss = run.metrics["eval_loss"]
    assert cells(page, "eval loss", f"{run.metrics['eval_loss_before']:.4g}", f"{loss:.4g}")
    best = f"{run.metrics['best_step']:,.0f}"
    assert f"best, step {best}" in page
    assert cells(page, "best step", best)
    assert "peak memory" in page
    assert page.count('role="img"') == 5, "rows, lengths, loss, learning rate, gradient norm"
    assert re.search(r"learning_rate: 0.001\s+<span class=\"origin\"># pico.yaml:\d+</span>", page)
    assert str(run.folder.parent) not in page, "no folder of this machine"

    predictions = browsed(page, "predictions-1")
    answers = {row[0]: row[2][3] for row in predictions}
    assert answers == {one["id"]: said(one) for one in run.predictions()}
    held = run.rows("validation").to_pylist()
    asked = {row["id"]: prompt_of(row) for row in held}
    assert {row[0]: row[2][0] for row in predictions} == asked
    dropped = browsed(page, "drops")
    drops = {(one.id, one.reason) for step in run.lineage().steps_with_drops()
             for one in run.lineage().drops(step.name)}  # fmt: skip
    assert {(row[0], row[1][0]) for row in dropped} == drops


def test_two_runs_are_compared_value_by_value_and_row_by_row(
    own_run: Ran,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    workdir, _ = own_run
    one = khichdi.open_run(store=store_of(own_run))
    monkeypatch.chdir(workdir.folder)
    other = khichdi.open_recipe(
        "pico.yaml", settings={"train.num_epochs": 1}, store=store_of(own_run)
    ).run()
    page = written(capsys, tmp_path / "two.html", own_run, one.name, other.name)
    assert cells(page, "train.num_epochs", "3", "1")
    a, b = one.metrics["eval_loss"], other.metrics["eval_loss"]
    assert cells(page, "eval loss", f"{a:.4g}", f"{b:.4g}", f"{b - a:+.4g}")
    assert cells(page, "split", "the same")
    assert cells(page, "train", "another result")
    rows = browsed(page, "predictions-1")
    answers = ({p["id"]: said(p) for p in run.predictions()} for run in (one, other))
    first, second = answers
    assert {row[0]: (row[2][2], row[2][3]) for row in rows} == {
        row_id: (first[row_id], second[row_id]) for row_id in first
    }
    same = written(capsys, tmp_path / "same.html", own_run, one.name, one.name)
    assert "Both have the same result hash" in same
    assert "Nothing: they ask for the same." in same


def test_an_audit_of_this_run_can_be_shown_and_no_other(
    shared_run: Ran, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    audit = tmp_path / "audit.json"
    assert main(["audit", "latest", "--json", "--store", store_of(shared_run)]) == 0
    audit.write_text(capsys.readouterr().out)
    page = written(capsys, tmp_path / "r.html", shared_run, "latest", "--audit", str(audit))
    assert cells(page, "recipe", "identical", "derived")
    report = json.loads(audit.read_text())
    audit.write_text(json.dumps(report | {"result_hash": "sha256:" + "1" * 64}))
    words = ["report", "latest", "--store", store_of(shared_run), "--audit", str(audit)]
    for wrong, message in (
        (words, "audit of another run"),
        ([*words[:-1], str(tmp_path / "none.json")], "cannot be read"),
        ([words[0], "latest", *words[1:]], "--audit is of one run"),
        (["report", "nowhere", "--store", store_of(shared_run)], "no finished run"),
    ):
        assert main(wrong) == 2
        assert message in capsys.readouterr().err


def test_a_page_is_written_of_what_a_store_still_has(
    own_run: Ran, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(Path(store_of(own_run)) / "artifacts")
    page = written(capsys, tmp_path / "run.html", own_run, "latest")
    run = khichdi.open_run(store=store_of(own_run))
    assert run.result_hash in page
    assert cells(page, "pack")
    assert "predictions-1" not in page
    assert 'id="rows"' not in page


def test_a_run_that_trained_nothing_has_a_page_without_training(
    own_run: Ran,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(own_run[0].folder)
    khichdi.open_recipe("pico.yaml", until="mixture", store=store_of(own_run)).run()
    page = written(capsys, tmp_path / "run.html", own_run, "latest")
    assert "ended with" in page
    assert 'id="training"' not in page
    assert "--segments" not in page
    assert page.count('role="img"') == 2, "rows and their lengths"
    khichdi.open_recipe("pico.yaml", until="data/colours/read", store=store_of(own_run)).run()
    written(capsys, tmp_path / "run.html", own_run, "latest")
