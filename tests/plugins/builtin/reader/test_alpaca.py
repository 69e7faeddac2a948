from __future__ import annotations

import json

import pytest

from khichdi.schema.errors import StepError


def test_real_alpaca_records_become_rows(read, real):
    file = real / "alpaca/cherry_alpaca_5_percent.json"

    rows = read("alpaca", {}, file)

    written = json.loads(file.read_text())
    got = [(row["instruction"], row["input"], row["output"]) for row in rows]
    assert got == [(r["instruction"], r["input"], r["output"]) for r in written]
    assert rows[5]["id"] == "cherry_alpaca_5_percent.json#5"


def test_the_input_may_be_missing_and_the_rest_is_mapped(read, tmp_path):
    file = tmp_path / "platypus.jsonl"
    file.write_text('{"instruction": "i", "output": "o", "data_source": "reclor"}\n')

    [row] = read("alpaca", {"columns": {"provenance": "data_source"}}, file)

    assert (row["instruction"], row["input"], row["output"]) == ("i", "", "o")
    assert row["provenance"] == "reclor"


def test_history_comes_before_the_last_question(read, real):
    file = real / "lima/lima.json"

    rows = read("alpaca", {"history": "history"}, file)

    written = json.loads(file.read_text())
    for row, record in zip(rows, written, strict=True):
        if not record["history"]:
            assert row["turns"] == []
            assert row["instruction"] == record["instruction"]
            continue
        assert row["instruction"] == record["history"][0][0]
        assert row["output"] == record["history"][0][1]
        assert row["references"] == [row["output"]]
        texts = [turn["text"] for turn in row["turns"]]
        pairs = [*record["history"], [record["instruction"], record["output"]]]
        assert texts == [text for pair in pairs for text in pair]
    assert sum(bool(row["turns"]) for row in rows) == 19


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"output": "o"}, "no field `instruction`"),
        ({"instruction": "i"}, "no field `output`"),
        ({"instruction": "i", "output": "o", "input": 3}, "`input` must be a text"),
        ({"instruction": "i", "output": "o", "history": [["q"]]}, r"list of \[question, answer\]"),
        ({"instruction": "i", "output": "o", "history": "q"}, r"list of \[question, answer\]"),
    ],
)
def test_a_bad_record_is_named(read, tmp_path, record, message):
    file = tmp_path / "bad.json"
    file.write_text(json.dumps([{"instruction": "i", "output": "o"}, record], indent=0))

    with pytest.raises(StepError, match=message) as caught:
        read("alpaca", {"history": "history"}, file)

    assert caught.value.line is not None
    assert caught.value.line > 2
