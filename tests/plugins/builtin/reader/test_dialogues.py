from __future__ import annotations

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from khichdi.plugins.registry import load_registry
from khichdi.schema.errors import StepError


def quac(real):
    file = real / "quac/quac_sample.json"
    data = json.loads(file.read_text())["data"]
    return file, [paragraph for article in data for paragraph in article["paragraphs"]]


@pytest.mark.parametrize("turns", [None, 0, 1, 3, 99])
def test_quac_rows_show_the_dialogue_so_far(read, real, turns):
    file, paragraphs = quac(real)
    params = {"columns": {"task": "title", "provenance": "id"}} | (
        {} if turns is None else {"turns": turns}
    )

    rows = iter(read("dialogues", params, file))

    for paragraph in paragraphs:
        said = []
        for question in paragraph["qas"]:
            row = next(rows)
            shown = said if turns is None else said[max(0, len(said) - turns) :]
            assert row["instruction"] == question["question"]
            assert row["input"] == "\n\n".join([paragraph["context"], *["\n".join(shown)]]).strip()
            assert row["output"] == question["orig_answer"]["text"]
            texts = {answer["text"] for answer in question["answers"]}
            assert set(row["references"]) == texts | {row["output"]}
            assert row["provenance"] == question["id"]
            said.append(f"Question: {question['question']}\nAnswer: {row['output']}")
    assert next(rows, None) is None


def test_the_hubs_layout_gives_the_same_texts(read, real, tmp_path):
    file, paragraphs = quac(real)
    records = [
        {
            "background": "not read",
            "context": paragraph["context"],
            "questions": [question["question"] for question in paragraph["qas"]],
            "orig_answers": {"texts": [q["orig_answer"]["text"] for q in paragraph["qas"]]},
        }
        for paragraph in paragraphs
    ]
    table = tmp_path / "train.parquet"
    pq.write_table(pa.Table.from_pylist(records), table)

    def texts(rows):
        return [(row["instruction"], row["input"], row["output"]) for row in rows]

    listed = read("dialogues", {"layout": "lists"}, table)
    assert texts(listed) == texts(read("dialogues", {}, file))
    assert [row["id"] for row in listed] == [f"train.parquet#{n}" for n in range(12)]


def squad(tmp_path, *questions):
    file = tmp_path / "dev.json"
    paragraph = {"context": "c", "qas": list(questions)}
    file.write_text(json.dumps({"data": [{"title": "t", "paragraphs": [paragraph]}]}))
    return file


NONE = {"question": "why", "answers": [], "is_impossible": True}
SOME = {"question": "who", "answers": [{"text": "me"}]}


def test_a_question_without_an_answer_is_counted_or_gets_the_words_for_it(read, read_all, tmp_path):
    file = squad(tmp_path, NONE, SOME)

    [row], [drop] = read_all("dialogues", {}, file)
    assert (row["id"], row["output"]) == ("dev.json#1", "me")
    assert (drop.id, drop.reason, drop.detail) == ("dev.json#0", "no-answer", "why")

    first, _ = read("dialogues", {"unanswerable": "I cannot tell."}, file)
    assert first["output"] == "I cannot tell."


def test_bad_questions_are_counted_one_by_one(read_all, tmp_path):
    file = squad(tmp_path, SOME, 3, {"question": "who"}, {"answers": []}, SOME)
    rows, drops = read_all("dialogues", {"on_bad_row": "drop"}, file)
    assert [row["id"][-1] for row in rows] == ["0", "4"]
    assert [(drop.id[-1], drop.reason) for drop in drops] == [
        ("1", "wrong-type"), ("2", "missing-field"), ("3", "missing-field"),
    ]  # fmt: skip

    lists = tmp_path / "a.jsonl"
    good = {"context": "c", "questions": ["a", "b"], "answers": [["x", "y"], "z"]}
    bad = good | {"answers": ["x"]}
    lists.write_text("\n".join(json.dumps(r) for r in (good, bad, good)) + "\n{\n")
    params = {"layout": "lists", "answers": "answers", "on_bad_row": "drop"}
    rows, drops = read_all("dialogues", params, lists)
    assert [row["id"][-1] for row in rows] == ["0", "1", "3", "4"]
    assert [(drop.id[-1], drop.reason) for drop in drops] == [
        ("2", "malformed"), ("5", "broken-json"),
    ]  # fmt: skip
    assert rows[0]["references"] == ["x", "y"]
    assert rows[2]["input"] == "c"  # a new dialogue starts after the bad one


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[]", "an object with a list `data`"),
        ('{"data": [{"title": "t"}]}', r"\$.data\[0\]: `paragraphs`"),
        ('{"data": []}', "holds no record"),
        ('{"data": [', "broken JSON"),
    ],
)
def test_a_file_of_another_layout_is_refused(read, tmp_path, content, message):
    file = tmp_path / "a.json"
    file.write_text(content)
    with pytest.raises(StepError, match=message):
        read("dialogues", {"on_bad_row": "drop"}, file)


def test_a_name_that_a_dialogue_does_not_have_is_refused():
    with pytest.raises(ValidationError, match=r"did you mean `\{context\}`"):
        load_registry().create("reader", "dialogues", {"input": "{contxt}"})
