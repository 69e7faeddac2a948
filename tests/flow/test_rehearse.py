"""A rehearsal goes the whole way of a run in seconds, and says what was not as in a run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from khichdi.cli.main import main
from khichdi.project.bundled_recipes import shipped_recipes

from .conftest import Workdir
from .test_mirror import GIT, HUB, NOWHERE, lay_out


def notes(document: Any) -> dict[str, str]:
    return {step["name"]: step["note"] for step in document["steps"] if step["note"]}


@pytest.mark.nightly
@pytest.mark.slow
def test_every_step_is_rehearsed_on_real_rows_where_they_are(workdir: Workdir) -> None:
    document = workdir.json("rehearse", "pico.yaml", "--rows", "24")
    plan = workdir.json("plan", "pico.yaml")
    assert [step["name"] for step in document["steps"]] == [step["name"] for step in plan["steps"]]
    facts = {step["name"]: step["facts"] for step in document["steps"]}
    assert facts["data/capitals/read"]["rows_out"] == 24
    assert facts["data/colours/read"]["rows_out"] == 12
    assert facts["train"]["metrics"]["eval_loss"] > 0
    assert notes(document) == {"base": "random weights in a miniature of its own architecture"}
    # Nothing of it is left in the store, and the lock is not written.
    assert {step["status"] for step in plan["steps"]} == {"to-run"}
    assert not (workdir.folder / "pico.lock").exists()


@pytest.mark.slow
def test_what_a_run_would_fail_at_in_the_end_fails_here(workdir: Workdir) -> None:
    workdir.edit("target_modules: all-linear", "target_modules: [query_proj]")
    status, _, err = workdir.call("rehearse", "pico.yaml")
    assert status == 3
    assert "query_proj" in err


@pytest.mark.nightly
@pytest.mark.slow
def test_rows_of_a_source_that_is_not_here_are_generated_and_it_is_said(
    workdir: Workdir, tmp_path: Path
) -> None:
    workdir.edit("{use: files, include: [capitals.jsonl]}", HUB)
    workdir.edit("{use: files, include: [colours.jsonl]}", GIT)
    workdir.environment = {"HF_ENDPOINT": NOWHERE}
    found = notes(workdir.json("rehearse", "pico.yaml"))
    assert found["data/capitals/source"] == "not on this machine"
    assert found["data/colours/read"] == "64 generated rows"
    mirror = lay_out(tmp_path / "mirror")
    document = workdir.json("rehearse", "pico.yaml", "--mirror", str(mirror))
    assert notes(document).keys() == {"base"}


@pytest.mark.slow
def test_a_source_that_two_data_sets_share_is_missing_for_both(workdir: Workdir) -> None:
    for name in ("capitals", "colours"):
        workdir.edit(f"{{use: files, include: [{name}.jsonl]}}", HUB)
    workdir.environment = {"HF_ENDPOINT": NOWHERE}
    found = notes(workdir.json("rehearse", "pico.yaml"))
    assert found["data/capitals/read"] == found["data/colours/read"] == "64 generated rows"


@pytest.mark.slow
def test_scores_and_buckets_are_rehearsed_in_a_few_tokens(workdir: Workdir) -> None:
    score = "score: {use: few-shot, metric: exact-match, shots: 2, max_prompt_tokens: 256}"
    quota = "[9, 9, 9, 9, 9, 9, 9, 9, 9, 9]"
    sample = f"sample: {{use: accuracy-buckets, keep: all, drop_below: 0.5, quota: {quota}}}"
    workdir.edit("sample: {use: random, fraction: 0.9}", f"{score}\n    {sample}")
    steps = workdir.json("rehearse", "pico.yaml")["steps"]
    facts = {step["name"]: step["facts"] for step in steps}
    # Random weights answer nothing rightly, and the task is not dropped for it.
    assert facts["data/capitals/sample"]["rows_out"] > 0


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(path.stem for path in shipped_recipes()))
def test_a_shipped_recipe_rehearses(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KHICHDI_STORE", str(tmp_path / "store"))
    status = main(["rehearse", f"{name}.yaml", "--json"])
    out = capsys.readouterr().out
    assert status == 0, out
    document = json.loads(out)
    assert {"train", "pack", "mixture"} <= {step["name"] for step in document["steps"]}
