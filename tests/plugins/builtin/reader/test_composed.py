"""Columns put together from several fields, on the data sets that need it."""

from __future__ import annotations

import csv
import json

import pytest
from pydantic import ValidationError

from khichdi.plugins.registry import load_registry
from khichdi.schema.errors import StepError


def test_truthfulqa_has_every_right_answer_as_a_reference(read, real):
    file = real / "truthfulqa/TruthfulQA.csv"
    columns = {
        "instruction": "Question", "output": "Best Answer", "references": "Correct Answers",
    }  # fmt: skip

    rows = read("csv", {"columns": columns, "split": {"references": ";"}}, file)

    with file.open(newline="") as stream:
        for row, record in zip(rows, csv.DictReader(stream), strict=True):
            right = [text.strip() for text in record["Correct Answers"].split(";") if text.strip()]
            assert set(row["references"]) == {*right, record["Best Answer"]}
    assert sum(len(row["references"]) for row in rows) > 2 * len(rows)


def test_faithdial_answers_on_knowledge_and_history(read, real):
    file = real / "faithdial/data_audit_gold_wow.csv"
    render = {"instruction": "{history}", "input": "Knowledge: {evidence}"}

    rows = read("csv", {"columns": {"output": "response"}, "render": render}, file)

    with file.open(newline="") as stream:
        written = list(csv.DictReader(stream))
    assert [row["output"] for row in rows] == [record["response"] for record in written]
    assert [row["input"] for row in rows] == [
        f"Knowledge: {record['evidence']}".strip() for record in written
    ]


def test_prm800k_steps_are_joined_line_by_line(read, real):
    file = real / "prm800k/samples_prm800k.jsonl"
    render = {"output": "{label.steps.*.completions.0.text}"}
    params = {"columns": {"instruction": "question.problem"}, "render": render}

    rows = read("jsonl", params, file)

    written = [json.loads(line) for line in file.read_text().splitlines()]
    for row, record in zip(rows, written, strict=True):
        steps = [step["completions"][0]["text"] for step in record["label"]["steps"]]
        assert row["output"] == "\n".join(steps).strip()
        assert row["instruction"] == record["question"]["problem"]


def test_strategyqa_facts_come_before_a_truth_value(read, real):
    file = real / "strategyqa/dev.json"
    render = {"input": "{facts}", "output": "{answer}"}
    rows = read("json", {"columns": {"instruction": "question"}, "render": render}, file)
    for row, record in zip(rows, json.loads(file.read_text()), strict=True):
        assert row["input"] == "\n".join(record["facts"]).strip()
        assert row["output"] == ("true" if record["answer"] else "false")


def test_dolly_is_read_by_naming_its_fields(read, real):
    columns = {"input": "context", "output": "response", "categories": "category"}
    file = real / "dolly/dolly_raw_schema_6.jsonl"
    rows = read("alpaca", {"columns": columns}, file)
    written = [json.loads(line) for line in file.read_text().splitlines()]
    assert [(r["instruction"], r["input"], r["output"], *r["categories"]) for r in rows] == [
        (r["instruction"], r["context"], r["response"], r["category"]) for r in written
    ]


def test_nothing_is_put_where_a_field_is_null_and_braces_can_be_meant(read, tmp_path):
    file = tmp_path / "a.jsonl"
    file.write_text('{"a": "x", "b": null, "c": ["y", 2]}\n')
    render = {"input": "{b}\n{a} {{c}}", "output": "{c}"}
    [row] = read("jsonl", {"columns": {}, "render": render}, file)
    assert (row["input"], row["output"]) == ("x {c}", "y\n2")


def test_a_field_that_is_not_there_is_named_with_the_fields_that_are(read, tmp_path):
    file = tmp_path / "a.jsonl"
    file.write_text('{"context": "x"}\n')
    with pytest.raises(StepError, match="no field `contxt`, which `render` names") as caught:
        read("jsonl", {"columns": {}, "render": {"output": "{contxt}"}}, file)
    assert "did you mean `context`?" in str(caught.value)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"columns": {}, "render": {"output": "{a"}}, "write `{{` and `}}`"),
        ({"columns": {}, "render": {"output": "{}"}}, "a name was expected"),
        ({"columns": {}, "render": {"output": "{a!r}"}}, "a name was expected"),
        ({"columns": {"output": "a"}, "render": {"output": "{a}"}}, "choose one"),
        ({"render": {"output": "{a}"}}, "`render` needs `columns`"),
    ],
)
def test_a_text_with_braces_out_of_order_is_refused(params, message):
    with pytest.raises(ValidationError, match=message):
        load_registry().create("reader", "jsonl", params)
