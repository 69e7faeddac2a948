from __future__ import annotations

import csv
import json
import os
import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from khichdi.plugins import SourceFile
from khichdi.plugins.registry import load_registry
from khichdi.schema.errors import StepError
from khichdi.schema.rows import row_schema

QUESTIONS = {"columns": {"instruction": "question", "output": "answer"}}


def write_jsonl(path, records):
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


# ---- what is read ---------------------------------------------------------------------------


def test_gsm8k_lines_become_rows_in_order(read, real):
    file = real / "gsm8k/test.jsonl"

    rows = read("jsonl", QUESTIONS, file)

    written = [json.loads(line) for line in file.read_text().splitlines()]
    assert [row["instruction"] for row in rows] == [record["question"] for record in written]
    assert [row["output"] for row in rows] == [record["answer"] for record in written]
    assert [row["id"] for row in rows] == [f"test.jsonl#{n}" for n in range(len(written))]
    assert all(row["references"] == [row["output"]] for row in rows)


def test_batches_have_the_types_of_the_row_schema(real):
    reader = load_registry().create("reader", "jsonl", QUESTIONS)

    batches = list(reader.read([SourceFile("train.jsonl", real / "gsm8k/train.jsonl")]))

    assert len(batches) == 2
    for batch in batches:
        for field in batch.schema:
            assert field.type == row_schema().field(field.name).type
            assert batch.column(field.name).null_count == 0


def test_a_json_list_and_the_same_records_as_lines_and_parquet_give_the_same_rows(
    read, real, tmp_path
):
    source = real / "alpaca/alpaca_en_demo.json"
    records = json.loads(source.read_text())
    lines = write_jsonl(tmp_path / "a.jsonl", records)
    pq.write_table(pa.Table.from_pylist(records), tmp_path / "a.parquet", row_group_size=100)
    (tmp_path / "a.json").write_bytes(source.read_bytes())

    def texts(name, file):
        return [(r["instruction"], r["input"], r["output"]) for r in read(name, {}, file)]

    expected = [(r["instruction"], r["input"], r["output"]) for r in records]
    assert texts("json", tmp_path / "a.json") == expected
    assert texts("jsonl", lines) == expected
    assert texts("parquet", tmp_path / "a.parquet") == expected


def test_a_real_csv_keeps_texts_that_look_like_numbers_or_nothing(read, real, tmp_path):
    columns = {"instruction": "Question", "output": "Best Answer", "categories": "Category"}
    file = real / "truthfulqa/TruthfulQA.csv"

    rows = read("csv", {"columns": columns}, file)

    with file.open(newline="") as stream:
        written = list(csv.DictReader(stream))
    assert [row["output"] for row in rows] == [record["Best Answer"] for record in written]
    assert rows[0]["categories"] == ["Misconceptions"]

    odd = tmp_path / "odd.csv"
    odd.write_text('instruction,output\r\nid,007\r\nunit,NA\r\n"two\nlines",2020-01-02\r\n')
    assert [row["output"] for row in read("csv", {}, odd)] == ["007", "NA", "2020-01-02"]


def test_a_csv_without_a_header_is_read_by_the_names_given(read, real):
    names = ["instruction", "output", "task"]
    file = real / "flan_cot/gsm8k_train.tsv"
    first = file.read_text().split("\n", 1)[0].split("\t")

    rows = read("csv", {"delimiter": "\t", "quote": None, "names": names}, file)

    assert [rows[0][name] for name in names] == first


def test_texts_that_look_like_dates_stay_as_they_are(read, tmp_path):
    records = [{"output": "2020-01-02"}, {"output": "2021-03-04T05:06:07Z"}]

    rows = read("jsonl", {}, write_jsonl(tmp_path / "dates.jsonl", records))

    assert [row["output"] for row in rows] == ["2020-01-02", "2021-03-04T05:06:07Z"]


def test_dotted_columns_reach_nested_fields_and_list_positions(read, tmp_path):
    record = {"meta": {"subject": "law"}, "answers": ["b", "c"], "q.text": "why", "tags": "x"}
    columns = {
        "task": "meta.subject",
        "instruction": "q.text",
        "output": "answers.0",
        "references": "answers",
        "categories": "tags",
    }

    [row] = read("jsonl", {"columns": columns}, write_jsonl(tmp_path / "n.jsonl", [record]))

    assert row == {
        "id": "n.jsonl#0",
        "task": "law",
        "instruction": "why",
        "output": "b",
        "references": ["b", "c"],
        "categories": ["x"],
    }


def test_the_output_is_always_among_the_references(read, tmp_path):
    file = write_jsonl(tmp_path / "r.jsonl", [{"output": "a", "references": ["b"]}])
    assert read("jsonl", {}, file)[0]["references"] == ["a", "b"]


def test_numbers_become_text_only_where_it_is_said(read, tmp_path):
    file = write_jsonl(tmp_path / "n.jsonl", [{"output": 42}, {"output": 0.5}, {"output": True}])

    rows = read("jsonl", {"as_text": ["output"]}, file)

    assert [row["output"] for row in rows] == ["42", "0.5", "true"]


def test_a_byte_order_mark_and_blank_lines_are_not_records(read, tmp_path):
    file = tmp_path / "bom.jsonl"
    file.write_bytes(b'\xef\xbb\xbf{"output": "a\\u2028b"}\n\n  \n{"output": "c\xe2\x80\xa8d"}')

    rows = read("jsonl", {}, file)

    assert [(r["id"], r["output"]) for r in rows] == [
        ("bom.jsonl#0", "a\u2028b"),
        ("bom.jsonl#1", "c\u2028d"),
    ]


def test_files_with_different_fields_are_read_one_by_one(read, tmp_path):
    one = write_jsonl(tmp_path / "1.jsonl", [{"output": "a", "extra": 1}])
    two = write_jsonl(tmp_path / "2.jsonl", [{"output": "b", "extra": {"x": []}, "task": "t"}])

    rows = read("jsonl", {}, one, two)

    assert [(r["id"], r["task"]) for r in rows] == [("1.jsonl#0", ""), ("2.jsonl#0", "t")]


def test_a_list_inside_an_object_is_named(read, real):
    params = {"field": "data", "columns": {"output": "title"}}
    rows = read("json", params, real / "quac/quac_sample.json")
    assert [row["output"] for row in rows] == ["The break", "The break"]


# ---- what is refused ------------------------------------------------------------------------

GOOD = '{"output": "a", "task": "t"}\n'

BROKEN = {
    "broken JSON on line 17": ("jsonl", {}, GOOD * 16 + '{"output": "a\n', 17, "broken JSON"),
    "a list on a line": ("jsonl", {}, GOOD + "[1]\n", 2, "an object with fields was expected"),
    "no output": ("jsonl", {}, GOOD + '{"outputs": "a"}', 2, "there is no field `output`"),
    "null output": ("jsonl", {}, GOOD + '{"output": null}', 2, "`output` is null"),
    "a number": ("jsonl", {}, GOOD + '{"output": 4}', 2, "must be a text, found a number"),
    "an object": ("jsonl", {}, GOOD + '{"output": {}}', 2, "must be a text, found an object"),
    "a list as text": ("jsonl", {}, GOOD + '{"output": []}', 2, "must be a text, found a list"),
    "a number in a list": (
        "jsonl",
        {},
        '{"output": "a", "references": ["a", 2]}',
        1,
        "`references` must be a text, found a number",
    ),
    "half an emoji": ("jsonl", {}, '{"output": "\\ud83d"}', 1, "half a character"),
    "too deep": ("jsonl", {}, '{"output":' + "[" * 100_000, 1, "broken JSON"),
    "latin-1 lines": ("jsonl", {}, GOOD.encode() + b'{"output": "\xe9"}', 2, "byte 41 (0xe9)"),
    "empty lines": ("jsonl", {}, "", None, "holds no record"),
    "blank lines": ("jsonl", {}, "\n\n", None, "holds no record"),
    "mapped field nowhere": (
        "jsonl",
        {"columns": {"output": "output", "input": "contxt"}},
        GOOD,
        None,
        "no record has the field `contxt`",
    ),
    "broken JSON list": ("json", {}, '[\n{"output": "a"},\n{"output": b}]', 3, "broken JSON"),
    "list cut short": ("json", {}, '[{"output": "a"},\n{"output": "b"}\n', 3, "broken JSON"),
    "no comma": ("json", {}, '[{"output": "a"}\n{"output": "b"}]', 2, "broken JSON"),
    "after the list": ("json", {}, '[{"output": "a"}]\n\nx', 3, "broken JSON"),
    "wrong type in a list": ("json", {}, '[\n{"output": "a"},\n {"output": 1}]', 3, "a number"),
    "not a list": ("json", {}, GOOD, 1, "a list of records was expected"),
    "field is no list": ("json", {"field": "output"}, GOOD, None, "found a text"),
    "no such field": ("json", {"field": "data"}, GOOD, None, "no such field"),
    "empty JSON": ("json", {}, "", None, "holds no record"),
    "empty list": ("json", {}, " [ ] ", None, "holds no record"),
    "latin-1 JSON": ("json", {}, b'[\n{"output": "\xe9"}]', 2, "byte 14 (0xe9)"),
    "empty CSV": ("csv", {}, "", None, "holds no record"),
    "only a header": ("csv", {}, "output\n", None, "holds no record"),
    "too few fields": ("csv", {}, 'output,task\n"a\nb",t\na\n', 4, "2 fields were expected"),
    "open quote": ("csv", {}, 'output\na\n"b\nc', 3, "broken CSV"),
    "twice in the header": ("csv", {}, "output,output\na,b\n", 1, "more than once"),
    "latin-1 CSV": ("csv", {}, b"output\na\n\xe9\n", 3, "the byte 0xe9, which is not"),
    "not Parquet": ("parquet", {}, "PAR1 it is not", None, "not a whole Parquet file"),
    "empty Parquet": ("parquet", {}, "", None, "not a whole Parquet file"),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_bad_input_is_an_error_that_names_file_and_line(read, tmp_path, fault):
    name, params, content, line, message = BROKEN[fault]
    file = tmp_path / "bad.data"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())

    with pytest.raises(StepError) as caught:
        read(name, params, file)

    assert message in caught.value.message
    assert (caught.value.file, caught.value.line) == ("bad.data", line)


def test_a_real_malformed_csv_is_refused_at_its_line(read, real):
    params = {"columns": {"output": "dialogue"}}
    with pytest.raises(StepError, match=r"samsum-test.raw-mangled.csv:2: broken CSV"):
        read("csv", params, real / "samsum/samsum-test.raw-mangled.csv")


@pytest.mark.parametrize("kept", [0.3, 0.7, 0.99])
def test_parquet_cut_short_is_an_error(read, tmp_path, kept):
    whole = tmp_path / "whole.parquet"
    pq.write_table(pa.table({"output": [str(n) for n in range(5000)]}), whole)
    cut = tmp_path / "cut.parquet"
    cut.write_bytes(whole.read_bytes()[: int(whole.stat().st_size * kept)])

    with pytest.raises(StepError, match="not a whole Parquet file"):
        read("parquet", {}, cut)


def test_parquet_with_damaged_pages_is_an_error_and_nothing_else(read, tmp_path, capfd):
    file = tmp_path / "damaged.parquet"
    texts = [str(n) * 7 for n in range(20_000)]
    table = pa.table({"output": texts})
    pq.write_table(table, file, row_group_size=5000, use_dictionary=False)
    data = bytearray(file.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 400] = b"\xff" * 400
    file.write_bytes(data)

    with pytest.raises(StepError, match=r"not a whole Parquet file \(after \d+ rows\)"):
        read("parquet", {}, file)
    assert capfd.readouterr() == ("", "")


def test_a_timestamp_in_parquet_is_not_quietly_made_text(read, tmp_path):
    file = tmp_path / "t.parquet"
    pq.write_table(pa.table({"output": pa.array([0], pa.timestamp("s"))}), file)

    with pytest.raises(StepError, match=r"record 0: `output` must be a text, found a datetime"):
        read("parquet", {}, file)


def test_a_mapping_without_an_output_is_refused_with_the_recipe():
    with pytest.raises(ValidationError, match="the field of the `output`"):
        load_registry().create("reader", "jsonl", {"columns": {"instruction": "q"}})


def test_a_constant_fills_its_column_in_every_row(read, tmp_path):
    file = write_jsonl(tmp_path / "a.jsonl", [{"article": "x", "highlights": "y"}] * 2)
    columns = {"input": "article", "output": "highlights"}
    rows = read("jsonl", {"columns": columns, "constants": {"instruction": "Sum up."}}, file)
    assert [row["instruction"] for row in rows] == ["Sum up.", "Sum up."]


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({"constants": {"instruction": "x"}}, "needs `columns`"),
        ({"columns": {"output": "a"}, "constants": {"output": "x"}}, "choose one"),
    ],
)
def test_a_constant_that_a_field_fills_is_refused(params, expected):
    with pytest.raises(ValidationError, match=expected):
        load_registry().create("reader", "jsonl", params)


def test_nothing_is_written_outside_the_files_read(tmp_path):
    file = tmp_path / "a.parquet"
    pq.write_table(pa.table({"output": ["a"]}), file)
    lines = write_jsonl(tmp_path / "a.jsonl", [{"output": "a"}])
    code = (
        "import sys; from pathlib import Path\n"
        "from khichdi.plugins import SourceFile\n"
        "from khichdi.plugins.registry import load_registry\n"
        "for name, path in (('parquet', sys.argv[1]), ('jsonl', sys.argv[2])):\n"
        "    reader = load_registry().create('reader', name, {})\n"
        "    print(sum(b.num_rows for b in reader.read([SourceFile(path, Path(path))])))\n"
    )
    home, scratch = tmp_path / "home", tmp_path / "scratch"
    scratch.mkdir()
    env = {**os.environ, "HF_HOME": str(home), "TMPDIR": str(scratch)}
    env.pop("HF_DATASETS_CACHE", None)

    done = subprocess.run(
        [sys.executable, "-c", code, str(file), str(lines)],
        capture_output=True,
        text=True,
        env=env,
    )

    assert (done.stdout, done.stderr) == ("1\n1\n", "")
    assert [p for p in home.rglob("*") if p.is_file()] == []
    assert list(scratch.iterdir()) == []
