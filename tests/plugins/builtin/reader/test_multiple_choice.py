from __future__ import annotations

import csv
import json

import pytest
from pydantic import ValidationError

from khichdi.plugins.registry import load_registry
from khichdi.schema.errors import StepError


def lines(file):
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_openbookqa_has_labelled_choices(read, real):
    file = real / "openbookqa/openbookqa_test_original_schema.jsonl"
    params = {
        "question": "question.stem", "choices": "question.choices", "answer": "answerKey",
    }  # fmt: skip

    rows = read("multiple-choice", params, file)

    for row, record in zip(rows, lines(file), strict=True):
        choices = record["question"]["choices"]
        options = "\n".join(f"{c['label']}. {c['text'].strip()}" for c in choices)
        assert row["instruction"] == f"{record['question']['stem']}\n{options}"
        assert row["output"] == record["answerKey"]
        assert row["references"] == [row["output"]]


def test_bbq_has_a_field_for_each_choice_and_an_index(read, real):
    file = real / "bbq/Religion.jsonl"
    params = {
        "choices": ["ans0", "ans1", "ans2"], "answer": "label", "fields": {"context": "context"},
        "input": "{context}", "output": "{text}", "columns": {"categories": "category"},
    }  # fmt: skip

    rows = read("multiple-choice", params, file)

    for row, record in zip(rows, lines(file), strict=True):
        assert row["output"] == record[f"ans{record['label']}"].strip()
        assert row["input"] == record["context"].strip()
        assert row["categories"] == ["Religion"]


def test_lsat_options_lose_their_own_letters(read, real):
    file = real / "agieval_lsat/lsat-lr.jsonl"
    params = {
        "choices": "options", "answer": "label", "strip": r"\([A-E]\)",
        "fields": {"context": "passage"}, "instruction": "{context}\n\n{question}\n{options}",
        "output": "{letter}. {text}",
    }  # fmt: skip

    rows = read("multiple-choice", params, file)

    for row, record in zip(rows, lines(file), strict=True):
        right = record["options"]["ABCDE".index(record["label"])]
        assert row["output"] == f"{record['label']}. {right[3:].strip()}"
        assert row["instruction"].startswith(record["passage"].strip())


def test_mmlu_is_read_with_a_header_and_without(read, real, tmp_path):
    file = real / "mmlu/dev/anatomy_dev.csv"
    choices = [f"choice{n}" for n in range(4)]
    with file.open(newline="") as stream:
        written = list(csv.DictReader(stream))
    letters = tmp_path / "anatomy_dev.csv"
    with letters.open("w", newline="") as stream:
        for record in written:
            letter = "ABCD"[int(record["answer"])]
            csv.writer(stream).writerow([record["question"], *(record[c] for c in choices), letter])

    indexed = read("multiple-choice", {"choices": choices}, file)
    lettered = read(
        "multiple-choice",
        {"names": ["q", "A", "B", "C", "D", "key"], "question": "q", "choices": list("ABCD"),
         "answer": "key"},
        letters,
    )  # fmt: skip

    assert [row["output"] for row in indexed] == ["ABCD"[int(r["answer"])] for r in written]
    assert indexed == lettered


def test_truthfulqa_marks_right_choices_with_numbers(read, real):
    file = real / "truthfulqa/mc_task.json"
    params = {"choices": "mc0_targets", "answer": None, "output": "{text}"}

    rows = read("multiple-choice", params, file)

    for row, record in zip(rows, json.loads(file.read_text()), strict=True):
        right = [text.strip() for text, mark in record["mc0_targets"].items() if mark]
        assert row["output"] == right[0]
        assert row["references"] == list(dict.fromkeys(right))


def test_choices_are_put_in_an_order_that_their_texts_decide(read, real):
    file = real / "truthfulqa/mc_task.json"
    params = {"choices": "mc1_targets", "answer": None}
    as_written = read("multiple-choice", params, file)
    assert {row["output"] for row in as_written} == {"A"}

    rows = read("multiple-choice", {**params, "shuffle": True}, file)

    for row, record in zip(rows, json.loads(file.read_text()), strict=True):
        (right,) = (text.strip() for text, mark in record["mc1_targets"].items() if mark)
        question, *options = row["instruction"][len(record["question"].strip()) :].split("\n")
        assert (row["output"], question) == (options[ord(row["output"]) - ord("A")][0], "")
        assert f"{row['output']}. {right}" in options
        assert len(options) == len(record["mc1_targets"])
    places = [row["output"] for row in rows]
    assert all(places.count(letter) > len(rows) / 10 for letter in "ABC")
    assert rows == read("multiple-choice", {**params, "shuffle": True}, file)


def test_big_bench_tasks_are_read_from_inside_their_object(read, real):
    file = real / "bigbench/causal_judgment.task.json"
    params = {
        "field": "examples", "question": "input", "choices": "target_scores", "answer": None,
        "output": "{text}",
    }  # fmt: skip
    rows = read("multiple-choice", params, file)
    written = json.loads(file.read_text())["examples"]
    assert [row["output"] for row in rows] == [
        max(r["target_scores"], key=r["target_scores"].get) for r in written
    ]


SHAPES = {
    "texts and index": (["x", "y"], 1),
    "texts and letter": (["x", "y"], "B"),
    "texts and text": (["x", "y"], "y"),
    "labelled objects": ([{"text": "x", "label": "1"}, {"text": "y", "label": "2"}], "2"),
    "two lists": ({"text": ["x", "y"], "label": ["A", "B"]}, "B"),
    "numbers as choices": ([4, 5.5], "B"),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_every_layout_gives_the_same_answer(read, tmp_path, shape):
    choices, answer = SHAPES[shape]
    file = tmp_path / "a.jsonl"
    file.write_text(json.dumps({"question": "q", "choices": choices, "answer": answer}))
    [row] = read("multiple-choice", {}, file)
    assert row["output"] == "B"


def test_what_an_answer_is_can_be_said(read, tmp_path):
    file = tmp_path / "a.jsonl"
    file.write_text(json.dumps({"question": "q", "choices": ["3", "1", "2"], "answer": "1"}))
    for how, letter in {"index": "B", "number": "A", "text": "B"}.items():
        [row] = read("multiple-choice", {"answer_is": how}, file)
        assert row["output"] == letter
    file.write_text(json.dumps({"question": "q", "choices": ["2", "1", "0"], "answer": 2}))
    with pytest.raises(StepError, match="names more than one choice") as caught:
        read("multiple-choice", {}, file)
    assert "`answer_is:` `index` or `text`" in str(caught.value)


BAD = {
    "ambiguous-answer": {"choices": ["1", "0"], "answer": 1},
    "unknown-answer": {"choices": ["a", "b"], "answer": "C"},
    "no-answer": {"choices": ["a", "b"], "answer": None},
    "wrong-type": {"choices": "a b", "answer": 0},
    "missing-field": {"answer": 0},
    "malformed": {"choices": ["a"], "answer": 0},
}


@pytest.mark.parametrize("reason", BAD)
def test_a_question_that_cannot_be_read_is_dropped_with_its_reason(read_all, tmp_path, reason):
    file = tmp_path / "a.jsonl"
    good = {"question": "q", "choices": ["a", "b"], "answer": "A"}
    file.write_text(json.dumps(good) + "\n" + json.dumps({"question": "q"} | BAD[reason]))

    rows, [drop] = read_all("multiple-choice", {"on_bad_row": "drop"}, file)

    assert len(rows) == 1
    assert (drop.id, drop.reason) == ("a.jsonl#1", reason)
    with pytest.raises(StepError) as caught:
        read_all("multiple-choice", {}, file)
    assert caught.value.line == 2


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"instruction": "{questoin}"}, "did you mean `{question}`"),
        ({"option": "{question}"}, "nothing is called `{question}`"),
        ({"strip": "("}, "not a regular expression"),
        ({"columns": {"output": "x"}}, "these come from question"),
        ({"fields": {"text": "x"}}, "is reserved"),
    ],
)
def test_parameters_that_make_no_sense_are_refused(params, message):
    with pytest.raises(ValidationError, match=message):
        load_registry().create("reader", "multiple-choice", params)
