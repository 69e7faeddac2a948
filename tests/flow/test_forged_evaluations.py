"""Forged evaluations of a finished run and of lm-eval, by what the forger wanted."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from forgery import change_values, flip_in_tensor, forge, rewrite, step
from harness_data import lines

from khichdi.schema.digest import described_safetensors

from .conftest import Workdir
from .forging import Ran, recipe
from .test_audit import artifact, audit, level, run_of
from .test_sign import write_key

MORE = "- {use: generate, max_new_tokens: 3, max_rows: 4}\n"
HARNESS = """\
- use: lm-eval
  harness: {version}
  tasks: [gsm8k]
  limit: 3
  num_fewshot: 1
  max_gen_toks: 4
  cpu_threads: 1
  data:
    gsm8k: {{use: files, folder: questions, include: ["*.jsonl"]}}
"""
TOKEN = "hf_" + "aB3dE5gH7jK9mN1pQ3sT5vW7xY9zA1cD3e"


def evaluated_again(shared_run: Ran, folder: Path, text: str) -> Ran:
    """Return a copy of the workdir that ran, and a second evaluation of its run."""
    workdir, first = shared_run
    shutil.copytree(workdir.folder, folder)
    copy = Workdir(folder)
    for split in ("train", "test"):
        asked = [{"question": f"{n} + {n}?", "answer": f"#### {2 * n}"} for n in range(4)]
        lines(folder / "questions" / f"{split}.jsonl", asked)
    file = folder / "more.yaml"
    file.write_text(text)
    status, document = recipe(copy, "evaluate", Path(first["run"]).name, "--with", str(file))
    assert status == 0, document
    return copy, document


def copied(made: Ran, folder: Path) -> Ran:
    shutil.copytree(made[0].folder, folder)
    return Workdir(folder), made[1]


@pytest.fixture(scope="module")
def made(shared_run: Ran, tmp_path_factory: pytest.TempPathFactory) -> Ran:
    return evaluated_again(shared_run, tmp_path_factory.mktemp("again") / "workdir", MORE)


@pytest.fixture
def again(made: Ran, tmp_path: Path) -> Ran:
    """Return a copy of a run that only evaluates another one again."""
    return copied(made, tmp_path / "again")


@pytest.fixture(scope="module")
def asked(shared_run: Ran, tmp_path_factory: pytest.TempPathFactory) -> Ran:
    pytest.importorskip("lm_eval")
    text = HARNESS.format(version=version("lm-eval"))
    return evaluated_again(shared_run, tmp_path_factory.mktemp("harness") / "workdir", text)


@pytest.fixture
def harness(asked: Ran, tmp_path: Path) -> Ran:
    """Return a copy of a run that lm-eval evaluates."""
    return copied(asked, tmp_path / "harness")


# ---- a finished run, evaluated again --------------------------------------------------------


def test_an_evaluation_that_is_said_to_be_of_another_run(again: Ran, tmp_path: Path) -> None:
    """Nothing in a run follows from the run that it evaluates: it is claimed, and signed."""
    run, key = run_of(again), write_key(tmp_path, "trainer")
    assert recipe(again[0], "sign", run.name, "--key", key[0])[0] == 0
    other = {"recipe_hash": "sha256:" + "1" * 64, "result_hash": "sha256:" + "2" * 64}
    rewrite(run, "record.json", lambda record: record.update(evaluates=other))
    found = audit(again[0])
    assert found["claimed"]["the run that is evaluated again"] == ["record evaluates"]
    status, found = recipe(again[0], "verify", run.name, "--key", key[1])
    assert status == 1
    assert "record.json" in found["error"]["message"]


def test_an_evaluation_of_fewer_rows_than_it_says(again: Ran) -> None:
    def more(record: Any) -> None:
        record["settings"] = [one.replace("4", "6") for one in record["settings"]]
        assert any("6" in one for one in record["settings"])

    rewrite(run_of(again), "record.json", more)
    assert audit(again[0], status=1)["where"].startswith("recipe: ")


def test_an_evaluation_of_somebody_else_s_adapter(again: Ran) -> None:
    weights = artifact(again, "train", "adapter") / "adapter_model.safetensors"
    tensor = sorted(described_safetensors(weights))[0]
    store = again[0].folder / "store"
    forge(run_of(again), store, "train", "adapter", flip_in_tensor(tensor, 3))
    assert audit(again[0], status=1)["where"].startswith("adapter: step train#adapter, tensor ")


def test_answers_that_nobody_gave_after_an_honest_training(again: Ran) -> None:
    """Documents agree with invented answers; executing them does not."""
    name = "evaluate/generate/adapter"
    store = again[0].folder / "store"

    def invent(predictions: Any) -> None:
        for one in predictions:
            one["prediction"] += " of course"

    forge(run_of(again), store, name, "predictions", change_values(invent))
    assert audit(again[0])["verdict"] == "identical"
    assert level(audit(again[0]), "metrics")["basis"] == "hashed"
    where = audit(again[0], "--rerun", status=1)["where"]
    assert where.startswith(f"metrics: step {name}#predictions, ")


def test_a_token_that_leaves_with_the_evaluation(shared_run: Ran, tmp_path: Path) -> None:
    """A file of `--with` is part of the record that is made."""
    file = tmp_path / "more.yaml"
    file.write_text(f'- {{use: generate, max_rows: 4, stop: "{TOKEN}"}}\n')
    name = Path(shared_run[1]["run"]).name
    status, found = recipe(shared_run[0], "evaluate", name, "--with", str(file))
    assert status == 2
    assert TOKEN not in json.dumps(found)


# ---- lm-eval --------------------------------------------------------------------------------

RIGHT = "exact_match,strict-match"


def leave_out_the_wrong(predictions: Any) -> None:
    predictions[0][RIGHT] = 1.0
    del predictions[1:]
    predictions[0]["id"] = "gsm8k/2"


def count_the_right_twice(predictions: Any) -> None:
    predictions[0][RIGHT] = 1.0
    predictions.append(dict(predictions[0]))


def ask_more_than_the_limit(predictions: Any) -> None:
    predictions.append({**predictions[0], "id": "gsm8k/3", RIGHT: 1.0})


@pytest.mark.slow
@pytest.mark.parametrize(
    "change", [leave_out_the_wrong, count_the_right_twice, ask_more_than_the_limit]
)
def test_a_better_score_by_other_documents(harness: Ran, change: Callable[[Any], None]) -> None:
    name, store = "evaluate/lm-eval/adapter", harness[0].folder / "store"
    found: dict[str, float] = {}

    def forged(predictions: Any) -> None:
        change(predictions)
        for score in predictions[0]["means"]:
            values = [one[score] for one in predictions]
            found[f"gsm8k.{score}"] = sum(values) / len(values)

    forge(run_of(harness), store, name, "predictions", change_values(forged))
    forge(run_of(harness), store, name, "metrics", change_values(lambda told: told.update(found)))

    def claim(record: Any) -> None:
        facts = step(record, name)["result"]["facts"]
        facts["metrics"].update(found)
        record["metrics"].update(found)

    rewrite(run_of(harness), "record.json", claim)
    told = audit(harness[0], status=1)
    assert told["where"] == f"metrics: step {name}, metrics that follow from its output"
    assert "its first documents, each once" in json.dumps(told["levels"])


@pytest.mark.slow
def test_a_score_of_the_harness_that_its_documents_do_not_give(harness: Ran) -> None:
    name, better = "evaluate/lm-eval/adapter", {f"gsm8k.{RIGHT}": 0.9}
    store = harness[0].folder / "store"
    forge(run_of(harness), store, name, "metrics", change_values(lambda told: told.update(better)))

    def claim(record: Any) -> None:
        step(record, name)["result"]["facts"]["metrics"].update(better)
        record["metrics"].update(better)

    rewrite(run_of(harness), "record.json", claim)
    assert audit(harness[0], status=1)["where"] == f"metrics: step {name}, metrics.gsm8k.{RIGHT}"


@pytest.mark.slow
def test_questions_that_nobody_pinned(harness: Ran) -> None:
    store, source = harness[0].folder / "store", "evaluate/lm-eval/data/gsm8k"

    def easier(folder: Path) -> None:
        lines(folder / "validation.jsonl", [{"question": "1?", "answer": "#### 1"}])

    forge(run_of(harness), store, source, "files", easier)
    sizes = [path.stat().st_size for path in artifact(harness, source, "files").iterdir()]

    def claim(record: Any) -> None:
        facts = step(record, source)["result"]["facts"]
        facts.update(files=len(sizes), bytes=sum(sizes))

    rewrite(run_of(harness), "record.json", claim)
    where = f"sources: step {source}#files, file validation.jsonl"
    assert audit(harness[0], status=1)["where"] == where


@pytest.mark.slow
def test_a_question_that_draws_on_the_terminal(
    harness: Ran, capsys: pytest.CaptureFixture[str]
) -> None:
    from khichdi.cli.main import main

    name, store = "evaluate/lm-eval/adapter", harness[0].folder / "store"
    evil = "\x1b[2J\x1b[8mverdict: IDENTICAL\u202e"

    def draw(predictions: Any) -> None:
        predictions[0].update(prompt=evil, prediction=evil, references=[evil])

    forge(run_of(harness), store, name, "predictions", change_values(draw))
    run = run_of(harness).name
    for words in (["predictions", run, "--evaluator", "lm-eval"], ["audit", run]):
        main([*words, "--store", str(store)])
        shown = capsys.readouterr()
        assert not any(mark in shown.out + shown.err for mark in "\x1b\u202e")


@pytest.mark.slow
def test_a_token_among_the_questions(shared_run: Ran, tmp_path: Path) -> None:
    pytest.importorskip("lm_eval")
    text = HARNESS.format(version=version("lm-eval"))
    workdir, first = shared_run
    shutil.copytree(workdir.folder, tmp_path / "workdir")
    copy = Workdir(tmp_path / "workdir")
    for split in ("train", "test"):
        rows = [{"question": f"{n}? {TOKEN}", "answer": f"#### {n}"} for n in range(4)]
        lines(copy.folder / "questions" / f"{split}.jsonl", rows)
    file = copy.folder / "more.yaml"
    file.write_text(text)
    status, document = recipe(copy, "evaluate", Path(first["run"]).name, "--with", str(file))
    assert status == 0, document
    target = tmp_path / "run.bundle"
    for words in ([], ["--with-data"]):
        run = Path(document["run"]).name
        status, found = recipe(copy, "bundle", run, "-o", str(target), *words)
        assert status == 2
        assert "evaluate/lm-eval/" in found["error"]["message"]
        assert TOKEN not in json.dumps(found)
        assert not target.exists()
