"""Every reader over the same faults: the place is named, or the record is dropped and counted."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from khichdi.plugins.registry import load_registry
from khichdi.schema.errors import StepError

COUNT, BAD = 20, 16  # the 17th of twenty records
Record = dict[str, Any]


@dataclass(frozen=True)
class Case:
    """A reader, a record that it reads with a text of some length, and a field it needs."""

    record: Callable[[str], Record]
    needs: str
    params: dict[str, Any]
    text: Callable[[Record], str] = lambda row: str(row["output"])


def _choice(text: str) -> Record:
    return {"question": text, "choices": ["yes", "no"], "answer": 0}


def _talk(text: str) -> Record:
    return {"conversations": ["hello", text]}


def _dialogue(text: str) -> Record:
    return {"context": "c", "questions": ["q"], "answers": [text]}


def _tree(text: str) -> Record:
    reply = {"message_id": "b", "text": text, "role": "assistant"}
    prompt = {"message_id": "a", "text": "hello", "role": "prompter", "replies": [reply]}
    return {"message_tree_id": "t", "prompt": prompt}


CASES = {
    "jsonl": Case(lambda text: {"output": text}, "output", {}),
    "alpaca": Case(lambda text: {"instruction": "do", "output": text}, "output", {}),
    "conversations": Case(_talk, "conversations", {}),
    "multiple-choice": Case(
        _choice, "question", {"instruction": "{question}"}, lambda row: str(row["instruction"])
    ),
    "dialogues": Case(_dialogue, "questions", {"layout": "lists", "answers": "answers"}),
    "message-trees": Case(_tree, "prompt", {}),
}
"""The readers that take records from lines of JSON."""

FAULTS: dict[str, Callable[[Case, bytes], bytes]] = {
    "broken-json": lambda case, line: line[:-2],
    "not-utf8": lambda case, line: line.replace(b"word 16", b"caf\xe9"),
    "utf16": lambda case, line: line.decode().encode("utf-16-le"),
    "missing-field": lambda case, line: line.replace(f'"{case.needs}"'.encode(), b'"else"'),
    "wrong-type": lambda case, line: json.dumps(
        {**json.loads(line), case.needs: {"a": {}}}
    ).encode(),
    "not-an-object": lambda case, line: b"[1, 2]",
    "null": lambda case, line: json.dumps({**json.loads(line), case.needs: None}).encode(),
}


def lines(case: Case, count: int = COUNT) -> list[bytes]:
    return [json.dumps(case.record(f"word {n}")).encode() for n in range(count)]


def named(name: str, count: int = COUNT) -> list[str]:
    return [f"{name}#{n}" for n in range(count) if n != BAD]


def test_every_reader_that_ships_is_tried() -> None:
    others = {"json", "csv", "parquet", "natural-instructions"}
    assert set(load_registry().names("reader")) == CASES.keys() | others


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("reader", CASES)
def test_a_bad_line_17_is_named_or_dropped_and_the_rest_is_read(
    read_all: Any, tmp_path: Path, reader: str, fault: str
) -> None:
    case, file = CASES[reader], tmp_path / "data.jsonl"
    content = lines(case)
    content[BAD] = FAULTS[fault](case, content[BAD])
    file.write_bytes(b"\n".join(content) + b"\n")

    with pytest.raises(StepError) as caught:
        read_all(reader, case.params, file)
    assert (caught.value.file, caught.value.line) == ("data.jsonl", 17)

    rows, [drop] = read_all(reader, {**case.params, "on_bad_row": "drop"}, file)
    assert sorted(row["id"] for row in rows) == sorted(named("data.jsonl"))
    assert drop.id == "data.jsonl#16"
    assert drop.detail == f"line 17: {caught.value.message}"
    assert drop.reason  # a slug: counted in the record
    assert drop.reason == drop.reason.lower().replace(" ", "-")


@pytest.mark.parametrize("reader", CASES)
def test_a_line_of_ten_megabytes_is_read_whole(read: Any, tmp_path: Path, reader: str) -> None:
    case, file, long = CASES[reader], tmp_path / "data.jsonl", "long " * 2_000_000 + "end"
    content = lines(case, 3)
    content[1] = json.dumps(case.record(long)).encode()
    file.write_bytes(b"\n".join(content))
    assert [case.text(row) for row in read(reader, case.params, file)] == [
        "word 0", long, "word 2",
    ]  # fmt: skip


@pytest.mark.parametrize("content", [b"", b"\n \n", b"\xef\xbb\xbf"], ids=["empty", "blank", "bom"])
@pytest.mark.parametrize("reader", [*CASES, "json", "csv", "natural-instructions"])
@pytest.mark.parametrize("more", [{}, {"on_bad_row": "drop"}], ids=["error", "drop"])
def test_an_empty_file_is_an_error_though_others_are_full(
    read_all: Any, tmp_path: Path, reader: str, content: bytes, more: dict[str, Any]
) -> None:
    case = CASES.get(reader, CASES["jsonl"])
    ending = {"json": "json", "csv": "csv", "natural-instructions": "json"}.get(reader, "jsonl")
    full, empty = tmp_path / f"a.{ending}", tmp_path / f"b.{ending}"
    full.write_bytes(whole(reader))
    empty.write_bytes(content)
    params = case.params if reader in CASES else OTHERS[reader]
    assert read_all(reader, {**params, **more}, full)[1] == []
    with pytest.raises(StepError, match=r"holds no record|is empty") as caught:
        read_all(reader, {**params, **more}, full, empty)
    assert caught.value.file == empty.name


OTHERS: dict[str, dict[str, Any]] = {"json": {}, "csv": {}, "natural-instructions": {}}


def whole(reader: str) -> bytes:
    """Return a good file for a reader."""
    match reader:
        case "json":
            return b"[\n" + b",\n".join(lines(CASES["jsonl"])) + b"\n]"
        case "csv":
            return b"output\n" + b"\n".join(b"word %d" % n for n in range(COUNT))
        case "natural-instructions":
            instances = [{"input": "i", "output": [f"word {n}"]} for n in range(COUNT)]
            task = {"Definition": ["d"], "Instances": instances}
            return json.dumps(task, indent=1).encode()
    return b"\n".join(lines(CASES[reader]))


@pytest.mark.parametrize("reader", [*sorted(CASES.keys() - {"jsonl"}), "parquet"])
@pytest.mark.parametrize("kept", [0.4, 0.95])
@pytest.mark.parametrize("more", [{}, {"on_bad_row": "drop"}], ids=["error", "drop"])
def test_a_parquet_cut_short_is_an_error_to_every_reader(
    read_all: Any, tmp_path: Path, reader: str, kept: float, more: dict[str, Any]
) -> None:
    case = CASES.get(reader, CASES["jsonl"])
    file = tmp_path / "data.parquet"
    records = [case.record(f"word {n}") for n in range(2000)]
    pq.write_table(pa.Table.from_pylist(records), file)
    assert len(read_all(reader, case.params, file)[0]) == 2000
    data = file.read_bytes()
    file.write_bytes(data[: int(len(data) * kept)])
    with pytest.raises(StepError, match="not a whole Parquet file") as caught:
        read_all(reader, {**case.params, **more}, file)
    assert caught.value.file == "data.parquet"


def test_item_17_of_a_json_list_and_of_a_task_and_of_parquet_is_named(
    read_all: Any, tmp_path: Path
) -> None:
    """Formats whose records have no line of their own, or may have several."""
    listed, task, table = (tmp_path / name for name in ("a.json", "task1_x.json", "a.parquet"))
    records: list[Any] = [{"output": f"word {n}"} for n in range(COUNT)]
    records[BAD] = {"output": 3}
    listed.write_text("[\n" + ",\n".join(map(json.dumps, records)) + "\n]")
    instances: list[Any] = [{"input": "i", "output": [f"word {n}"]} for n in range(COUNT)]
    instances[BAD] = {"input": "i", "output": [3]}
    task.write_text(json.dumps({"Definition": ["d"], "Instances": instances}))
    texts = [None if n == BAD else f"word {n}" for n in range(COUNT)]
    pq.write_table(pa.table({"output": texts}), table)
    for reader, file, line, place in (
        ("json", listed, 18, ""),
        ("natural-instructions", task, None, "$.Instances[16].output"),
        ("parquet", table, None, "record 16"),
    ):
        with pytest.raises(StepError) as caught:
            read_all(reader, {}, file)
        assert (caught.value.file, caught.value.line) == (file.name, line)
        assert place in caught.value.message
        rows, [drop] = read_all(reader, {"on_bad_row": "drop"}, file)
        assert [row["id"] for row in rows] == named(file.name)
        assert drop.id == f"{file.name}#16"


def test_files_in_mixed_encodings_lose_only_what_is_not_utf8(read_all: Any, tmp_path: Path) -> None:
    """Lines of Latin-1 among lines of UTF-8: as when two exports are put together."""
    file = tmp_path / "mixed.jsonl"
    words = ["café", "naïve", "word", "Ångström", "日本"]
    content, good = [], 0
    for number in range(100):
        word = words[number % 5]
        latin = number % 3 == 0 and word != "日本"
        content.append(json.dumps({"output": word}, ensure_ascii=False).encode(
            "latin-1" if latin else "utf-8"
        ))  # fmt: skip
        good += not latin or word == "word"
    file.write_bytes(b"\n".join(content))
    rows, drops = read_all("jsonl", {"on_bad_row": "drop"}, file)
    assert len(rows) == good
    assert len(rows) + len(drops) == 100
    assert {drop.reason for drop in drops} == {"not-utf8"}
    assert {row["output"] for row in rows} == set(words)
