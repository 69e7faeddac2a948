"""A finished run is evaluated again: nothing is trained, and the new record can be audited."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from harness_data import lines

from khichdi.cli.main import main
from khichdi.project.comparison import compare
from khichdi.project.run_lookup import open_run
from khichdi.runtime.store.store import Store
from khichdi.schema.record import Record

from .conftest import Workdir

Ran = tuple[Workdir, Any]


def call(workdir: Workdir, *words: str) -> tuple[int, Any]:
    """Run a command in this process; return its status and its document."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.chdir(workdir.folder):
        status = main([*words, "--json", "--store", str(workdir.folder / "store")])
    return status, json.loads(out.getvalue())


@pytest.fixture(scope="module")
def evaluated(
    shared_run: Ran, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Workdir, Any, Any]:
    """Return a copy of the workdir that ran, the run, and its second evaluation."""
    workdir, first = shared_run
    folder = tmp_path_factory.mktemp("evaluated") / "workdir"
    shutil.copytree(workdir.folder, folder)
    copy = Workdir(folder)
    (folder / "more.yaml").write_text("- {use: generate, max_new_tokens: 3, max_rows: 4}\n")
    for data in ("capitals.jsonl", "colours.jsonl", "pico.yaml"):
        (folder / data).unlink()  # a run is evaluated from its own folder and the store
    status, document = call(copy, "evaluate", Path(first["run"]).name, "--with", "more.yaml")
    assert status == 0, document
    return copy, first, document


def test_only_evaluations_run_and_the_first_run_stays(evaluated: tuple[Workdir, Any, Any]) -> None:
    workdir, first, document = evaluated
    assert workdir.ran(document) == ["evaluate/generate/base", "evaluate/generate/adapter"]
    assert document["evaluates"] == {
        "recipe_hash": first["recipe_hash"], "result_hash": first["result_hash"],
    }  # fmt: skip
    assert document["recipe_hash"] != first["recipe_hash"]
    assert document["run"] != first["run"]
    keys = {step["name"]: step["key"] for step in first["steps"]}
    assert all(
        keys[step["name"]] == step["key"]
        for step in document["steps"]
        if not step["name"].startswith("evaluate/")
    )
    kept = workdir.folder / "store" / "runs" / Path(first["run"]).name / "record.json"
    assert kept.read_bytes() == (Path(first["run"]) / "record.json").read_bytes()
    assert document["metrics"]["rows"] == 4.0
    assert first["metrics"]["rows"] == 6.0


def test_the_new_record_is_audited_like_any_other(evaluated: tuple[Workdir, Any, Any]) -> None:
    workdir, _, document = evaluated
    status, report = call(workdir, "audit", Path(document["run"]).name)
    assert (status, report["verdict"]) == (0, "identical")
    assert report["claimed"]["the run that is evaluated again"] == ["record evaluates"]
    run = open_run(document["run"])
    assert run.record.evaluates is not None
    assert run.record.settings[-1].startswith('evaluate[generate]={"use": "generate"')


def test_both_runs_are_compared_over_the_rows_that_they_share(
    evaluated: tuple[Workdir, Any, Any],
) -> None:
    workdir, first, document = evaluated
    before = open_run(workdir.folder / "store" / "runs" / Path(first["run"]).name)
    (pair,) = compare([before, open_run(document["run"])]).pairs
    (matched,) = pair.matched
    assert (matched.shared, matched.only_before, matched.only_after) == (4, 2, 0)
    assert pair.recipe is not None
    assert {(one.path, one.before, one.after) for one in pair.recipe} == {
        ("evaluate[generate].max_new_tokens", 4, 3), ("evaluate[generate].max_rows", None, 4),
        ("evaluate[generate].cpu_threads", 1, 2),
    }  # fmt: skip


def test_evaluations_that_are_there_are_not_run_twice(
    evaluated: tuple[Workdir, Any, Any],
) -> None:
    workdir, first, document = evaluated
    name = Path(document["run"]).name
    status, error = call(workdir, "evaluate", name, "--with", "more.yaml")
    assert status == 2
    assert "has these evaluations already" in error["error"]["message"]
    adapter = workdir.folder / "store" / "runs" / Path(first["run"]).name / "adapter"
    status, again = call(workdir, "evaluate", str(adapter), "--with", "more.yaml")
    assert (status, again["run"], workdir.ran(again)) == (0, document["run"], [])


@pytest.mark.parametrize(
    ("text", "where", "message"),
    [
        ("- use: generate\n  max_rows: 0\n", (2, 13), "`max_rows` must be at least 1, got 0"),
        ("evaluate:\n  - use: generate\n    x: 1\n", (3, 5), "unknown parameter `x`"),
        ("- {use: genrate}\n", (1, 9), "no evaluator named `genrate` is installed"),
        ("- use: generate\n- use: generate\n", (2, 8), "evaluator `generate` is named twice"),
        ("use: generate\n", (1, 1), "a list of evaluations was expected"),
        ("- generate\n", (1, 3), "an entry names its evaluator with `use`"),
        ("- [\n", (1, 3), ""),
    ],
)
def test_what_is_wrong_is_reported_at_its_place_in_the_file(
    shared_run: Ran, tmp_path: Path, text: str, where: tuple[int, int], message: str
) -> None:
    workdir, _ = shared_run
    file = tmp_path / "wrong.yaml"
    file.write_text(text)
    status, error = call(workdir, "evaluate", "latest", "--with", str(file))
    assert status == 2
    assert error["error"]["file"] == str(file)
    assert message in error["error"]["message"]
    if message:
        assert (error["error"]["line"], error["error"]["column"]) == where


def test_a_run_whose_results_are_gone_or_of_other_plugins_is_refused(own_run: Ran) -> None:
    workdir, document = own_run
    (workdir.folder / "more.yaml").write_text("- {use: generate, max_rows: 4}\n")
    name = Path(document["run"]).name
    record = workdir.folder / "store" / "runs" / name / "record.json"
    text = record.read_text()
    key = next(step["key"] for step in document["steps"] if step["name"] == "train")
    result = Store(workdir.folder / "store").result_path(key)
    saved = result.read_bytes()
    result.unlink()
    status, error = call(workdir, "evaluate", name, "--with", "more.yaml")
    assert (status, error["error"]["code"]) == (3, "store")
    assert "does not have the result of train any more" in error["error"]["message"]
    result.write_bytes(saved)
    changed = Record.from_json(text, "record.json")
    other = {"key": "sha256:" + 64 * "0"}
    steps = [
        step.model_copy(update={"result": step.result.model_copy(update=other)})
        if step.name == "train"
        else step
        for step in changed.steps
    ]
    record.write_text(changed.model_copy(update={"steps": tuple(steps)}).to_text())
    status, error = call(workdir, "evaluate", name, "--with", "more.yaml")
    assert status == 2
    assert error["error"]["message"].startswith("train has another key than on record")
    lonely = workdir.folder / "lonely"
    shutil.copytree(record.parent / "adapter", lonely)
    status, error = call(workdir, "evaluate", str(lonely), "--with", "more.yaml")
    assert "is an adapter without its run" in error["error"]["message"]


HARNESS = """\
- use: lm-eval
  harness: {version}
  tasks: [gsm8k, mmlu_anatomy]
  limit: 3
  num_fewshot: 1
  max_gen_toks: 4
  cpu_threads: 1
  data:
    gsm8k: {{use: files, folder: questions/gsm8k, include: ["*.jsonl"]}}
    mmlu: {{use: files, folder: questions/mmlu, include: ["*.jsonl"]}}
"""


@pytest.mark.slow
def test_the_harness_evaluates_a_finished_run_and_its_scores_are_audited(own_run: Ran) -> None:
    pytest.importorskip("lm_eval")
    workdir, first = own_run
    questions = workdir.folder / "elsewhere" / "questions"
    for split in ("train", "test"):
        rows = [{"question": f"{n} + {n}?", "answer": f"#### {2 * n}"} for n in range(4)]
        lines(questions / "gsm8k" / f"{split}.jsonl", rows)
    for split in ("dev", "test"):
        rows = [{"question": f"{n}?", "choices": list("abcd"), "answer": n} for n in range(4)]
        lines(questions / "mmlu" / f"anatomy_{split}.jsonl", rows)
    file = questions.parent / "harness.yaml"
    file.write_text(HARNESS.format(version=version("lm-eval")))
    status, document = call(workdir, "evaluate", Path(first["run"]).name, "--with", str(file))
    assert status == 0, document
    assert workdir.ran(document) == [
        "evaluate/lm-eval/data/gsm8k", "evaluate/lm-eval/data/mmlu",
        "evaluate/lm-eval/base", "evaluate/lm-eval/adapter",
    ]  # fmt: skip
    assert {name for name in document["metrics"] if "." in name} >= {
        "mmlu_anatomy.acc", "mmlu_anatomy.acc_before", "gsm8k.exact_match,strict-match",
    }  # fmt: skip
    name = Path(document["run"]).name
    status, report = call(workdir, "audit", name)
    assert (status, report["verdict"]) == (0, "identical")
    assert not [
        claim
        for level in report["levels"]
        if level["level"] == "metrics"
        for claim in level["claimed"]
    ]
    found = call(workdir, "predictions", name, "--evaluator", "lm-eval")[1]
    assert found["right_by"] == {
        "gsm8k": "exact_match,flexible-extract", "mmlu_anatomy": "acc",
    }  # fmt: skip
    assert len(found["predictions"]) == 6
    status, compared = call(workdir, "compare", name, "--evaluator", "lm-eval")
    (pair,) = compared["pairs"]
    assert {one["name"]: one["rows"] for one in pair["metrics"]} == {
        "gsm8k.exact_match,flexible-extract": 3,
        "gsm8k.exact_match,strict-match": 3,
        "mmlu_anatomy.acc": 3,
    }
    status, board = call(workdir, "leaderboard", name)
    assert board["scenarios"]["mmlu_anatomy"] == ["mmlu_anatomy - acc"]
