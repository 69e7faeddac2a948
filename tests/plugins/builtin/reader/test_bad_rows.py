"""What becomes of data that is broken: named, or dropped and counted; never lost."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from khichdi.plugins import Drop, SourceFile
from khichdi.plugins.registry import load_registry
from khichdi.schema.errors import StepError

DROP = {"on_bad_row": "drop"}
GOOD = b'{"output": "good"}\n'
LINES = {
    "broken-json": b'{"output": "a\n',
    "not-utf8": b'{"output": "caf\xe9"}\n',
    "nul-byte": b'{"output": "a\0b"}\n',
    "wrong-type": b'{"output": 3}\n',
    "missing-field": b'{"outputs": "a"}\n',
    "half-character": b'{"output": "\\ud83d"}\n',
}


@pytest.mark.parametrize("reason", LINES)
def test_line_17_is_named_or_dropped_with_its_reason(read, read_all, tmp_path, reason):
    file = tmp_path / "a.jsonl"
    file.write_bytes(GOOD * 16 + LINES[reason] + GOOD * 3)

    rows, [drop] = read_all("jsonl", DROP, file)

    assert [row["id"] for row in rows] == [f"a.jsonl#{n}" for n in range(20) if n != 16]
    assert (drop.id, drop.reason) == ("a.jsonl#16", reason)
    assert drop.detail.startswith("line 17: ")
    with pytest.raises(StepError) as caught:
        read("jsonl", {}, file)
    assert (caught.value.file, caught.value.line) == ("a.jsonl", 17)
    assert drop.detail == f"line 17: {caught.value.message}"


@given(st.lists(st.sampled_from([GOOD, b"\n", *LINES.values()]), min_size=1, max_size=40))
def test_every_line_is_a_row_or_a_drop(tmp_path_factory, lines):
    file = tmp_path_factory.mktemp("lines") / "a.jsonl"
    file.write_bytes(b"".join(lines))
    reader = load_registry().create("reader", "jsonl", DROP)
    rows, drops = 0, 0
    try:
        for found in reader.read([SourceFile("a.jsonl", file)]):
            drops += isinstance(found, Drop)
            rows += 0 if isinstance(found, Drop) else found.num_rows
    except StepError:
        assert GOOD not in lines
        return
    records = [line for line in lines if line.strip()]
    assert rows == records.count(GOOD)
    assert rows + drops == len(records)


def test_csv_rows_are_dropped_one_by_one(read_all, tmp_path):
    file = tmp_path / "a.csv"
    file.write_bytes(b'input,output\n1,a\n2\n3,caf\xe9\n4,b\0c\n5\n6,"two\nlines"\n7,e,f\n8,g\n')

    rows, drops = read_all("csv", DROP, file)

    assert [(r["id"], r["input"]) for r in rows] == [
        ("a.csv#0", "1"), ("a.csv#5", "6"), ("a.csv#7", "8"),
    ]  # fmt: skip
    assert [(d.id[-1], d.reason, d.detail.split(":")[0]) for d in drops] == [
        ("1", "wrong-field-count", "line 3"),
        ("2", "not-utf8", "line 4"),
        ("3", "nul-byte", "line 5"),
        ("4", "wrong-field-count", "line 6"),
        ("6", "wrong-field-count", "line 9"),
    ]


def test_records_of_other_readers_are_dropped_too(read_all, tmp_path):
    talks = tmp_path / "t.jsonl"
    talks.write_text(
        "".join(json.dumps({"conversations": talk}) + "\n" for talk in (["a", "b"], [], ["a", 3]))
    )
    rows, drops = read_all("conversations", DROP, talks)
    assert len(rows) == 1
    assert [(d.id, d.reason) for d in drops] == [
        ("t.jsonl#1", "malformed"), ("t.jsonl#2", "wrong-type"),
    ]  # fmt: skip

    task = tmp_path / "task1_x.json"
    instances = [{"input": "i", "output": ["o"]}, {"input": "i", "output": []}, 3, {"output": "o"}]
    task.write_text(json.dumps({"Definition": ["d"], "Instances": instances}))
    rows, drops = read_all("natural-instructions", DROP, task)
    assert [row["id"] for row in rows] == ["task1_x.json#0"]
    assert [(d.id[-1], d.reason) for d in drops] == [
        ("1", "missing-field"), ("2", "wrong-type"), ("3", "missing-field"),
    ]  # fmt: skip

    table = tmp_path / "p.parquet"
    pq.write_table(pa.table({"output": ["a", None, "c"]}), table)
    rows, [drop] = read_all("parquet", DROP, table)
    assert [row["output"] for row in rows] == ["a", "c"]
    assert (drop.id, drop.reason) == ("p.parquet#1", "missing-field")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.json", b'[{"output": "a"}, {"output": b}]', "broken JSON"),
        ("a.json", b'[{"output": "\xe9"}]', "not UTF-8"),
        ("a.jsonl", b"", "holds no record"),
        ("a.jsonl", "output".encode("utf-16"), "starts as UTF-16 does"),
        ("a.jsonl", b'{"output": 1}\n' * 3, "not one of 3 records could be read; the first: `out"),
        ("a.csv", b'output\na\n"b\nc\n', "broken CSV: unexpected end"),
        ("a.csv", b'output\na\n"b"x\nc\n', "broken CSV: ',' expected"),
        ("a.csv", "output\na".encode("utf-16"), "starts as UTF-16 does"),
        ("a.jsonl.gz", gzip.compress(GOOD * 900, mtime=0)[:-20], "broken or truncated"),
        ("a.jsonl.gz", GOOD, "broken or truncated"),
        ("a.jsonl.bz2", bz2.compress(GOOD * 900)[:-20], "broken or truncated"),
        ("a.jsonl.xz", lzma.compress(GOOD * 900)[:-20], "broken or truncated"),
        ("a.jsonl.zst", pa.Codec("zstd").compress(GOOD * 900).to_pybytes()[:-5], "truncated"),
    ],
)
def test_a_file_that_cannot_be_read_to_its_end_is_an_error_either_way(
    read_all, tmp_path, name, content, message
):
    file = tmp_path / name
    file.write_bytes(content)
    with pytest.raises(StepError, match=message) as caught:
        read_all(name.split(".")[1], DROP, file)
    assert caught.value.file == name


PACKERS = {
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zst": lambda data: pa.Codec("zstd").compress(data).to_pybytes(),
}


@pytest.mark.parametrize("ending", PACKERS)
@pytest.mark.parametrize(
    ("name", "reader", "start"),
    [
        ("gsm8k/test.jsonl", "jsonl", "question"),
        ("truthfulqa/TruthfulQA.csv", "csv", "Question"),
        ("scibench/stat.json", "json", "problem_text"),
    ],
)
def test_a_compressed_file_gives_the_rows_of_the_plain_one(
    read, real, tmp_path, ending, name, reader, start
):
    plain = real / name
    packed = tmp_path / f"{plain.name}.{ending}"
    packed.write_bytes(PACKERS[ending](plain.read_bytes()))
    params = {"columns": {"output": start}}

    expected = [row["output"] for row in read(reader, params, plain)]

    assert [row["output"] for row in read(reader, params, packed)] == expected
    [first, *_] = read("alpaca", {"columns": {"output": start, "instruction": start}}, packed)
    assert first["output"] == expected[0]


def test_a_line_of_ten_megabytes_is_a_row_like_any_other(read, tmp_path):
    text = "long " * 2_000_000
    lines, table = tmp_path / "a.jsonl", tmp_path / "a.csv"
    lines.write_text(json.dumps({"output": text}) + "\n" + GOOD.decode())
    table.write_text(f'output\n"{text}"\ngood\n')
    assert [row["output"] for row in read("jsonl", {}, lines)] == [text, "good"]
    assert [row["output"] for row in read("csv", {}, table)] == [text, "good"]


def test_only_the_columns_asked_for_are_read_of_parquet(read, tmp_path):
    file = tmp_path / "a.parquet"
    count = 30_000
    image = pa.array([b"\x89PNG" * 50] * count)
    pq.write_table(
        pa.table({"q": ["why"] * count, "image": image}), file, use_dictionary=False,
        compression="none",
    )  # fmt: skip
    data = bytearray(file.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 400] = b"\xff" * 400  # in the images
    file.write_bytes(data)

    assert len(read("parquet", {"columns": {"output": "q"}}, file)) == count
    with pytest.raises(StepError, match=r"no field `q2`.*") as caught:
        read("parquet", {"columns": {"output": "q2"}}, file)
    assert "the record has: q, image" in str(caught.value)
