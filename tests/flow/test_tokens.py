"""A recipe that adds tokens, from the plan to what is handed on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from khichdi.project.run_lookup import open_run

from .conftest import Workdir, make_workdir

TOKENS = """\
  tokens:
    eos_token: <|end|>
    add_special: [<|end|>]
    add: [<word>]
"""


@pytest.fixture(scope="module")
def run(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Workdir, Any]:
    workdir = make_workdir(tmp_path_factory.mktemp("tokens") / "workdir", tiny_base)
    workdir.edit("  quantization:", f"{TOKENS}  quantization:")
    workdir.edit("all-linear}", "all-linear, trainable_token_indices: added}")
    workdir.edit("num_epochs: 3", "num_epochs: 1")
    for name in ("capitals", "colours"):
        path = workdir.folder / f"{name}.jsonl"
        path.write_text(path.read_text().replace("word", "<word>"))
    return workdir, workdir.json("run", "pico.yaml")


def test_packs_have_the_tokens_and_the_adapter_their_tokenizer(run: tuple[Workdir, Any]) -> None:
    from transformers import AutoTokenizer

    from khichdi.runtime.tables import read_table

    workdir, document = run
    adapter = Path(document["adapter"])
    tokenizer = AutoTokenizer.from_pretrained(adapter)
    end, word = (tokenizer.convert_tokens_to_ids(text) for text in ("<|end|>", "<word>"))
    assert (end, word, len(tokenizer)) == (347, 348, 349)
    steps = {step["name"]: step for step in document["steps"]}
    record = json.loads((Path(document["run"]) / "record.json").read_text())
    packs = next(step for step in record["steps"] if step["name"] == "pack")
    manifest = packs["result"]["outputs"]["train"]["manifest"].removeprefix("sha256:")
    table = read_table(workdir.folder / "store" / "artifacts" / manifest)
    ids = [token for row in table.column("input_ids").to_pylist() for token in row]
    labels = [label for row in table.column("labels").to_pylist() for label in row]
    assert word in ids
    assert labels.count(end) == record_rows(packs)
    assert steps["tokens"]["status"] == "ran"
    names = {path.name for path in adapter.iterdir()}
    assert names == {
        "README.md", "adapter_config.json", "adapter_model.safetensors", "chat_template.jinja",
        "tokenizer.json", "tokenizer_config.json",
    }  # fmt: skip
    assert workdir.json("audit", document["run"], "--level", "adapter")["verdict"] == "identical"


def test_the_trained_model_answers_with_its_tokens(run: tuple[Workdir, Any]) -> None:
    workdir, document = run
    ran = open_run(document["run"], store=workdir.folder / "store")
    rows = ran.rows("validation").to_pylist()
    evaluated = {one["id"]: one["prediction"] for one in ran.predictions()}
    answers = ran.generate(rows, max_new_tokens=4)
    assert dict(zip([row["id"] for row in rows], answers, strict=True)) == evaluated


def record_rows(packs: Any) -> int:
    rows: int = packs["result"]["facts"]["train"]["samples"]
    return rows


def test_a_plan_names_a_wrong_token_and_its_place(run: tuple[Workdir, Any]) -> None:
    workdir, _ = run
    wrong = workdir.folder / "wrong.yaml"
    wrong.write_text(workdir.recipe.read_text().replace("eos_token: <|end|>", "eos_token: <|e|>"))
    found = workdir.json("plan", "wrong.yaml", status=2)["diagnostics"]
    [fault] = found
    assert fault["line"] == 7
    assert "`<|e|>` is not a token" in fault["message"]


@pytest.mark.slow
def test_a_run_with_tokens_is_rehearsed_and_audited(run: tuple[Workdir, Any]) -> None:
    workdir, document = run
    status, out, err = workdir.call("rehearse", "pico.yaml")
    assert status == 0, out + err
    audit = workdir.json("audit", document["run"], "--rerun")
    assert audit["verdict"] == "identical"
    assert {level["verdict"] for level in audit["levels"]} == {"identical"}
