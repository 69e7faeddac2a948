"""Looking at a file of training data: layouts, counts, and files that cannot be used."""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from khichdi.plugins.registry import load_registry
from khichdi.project.first_recipe.choice_layout import LETTER
from khichdi.project.first_recipe.data_file import DataFile, data_set_name, look_at
from khichdi.schema.errors import InputError

ASKED = {"role": "user", "content": "Which way?"}
SAID = {"role": "assistant", "content": "To the left."}


@pytest.fixture(autouse=True)
def _in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def look(name: str, records: list[Any], columns: Mapping[str, str] | None = None) -> DataFile:
    """Write records in the format of a name, and look at them."""
    if name.endswith(".parquet"):
        import pyarrow as pa
        import pyarrow.parquet as pq

        pq.write_table(pa.Table.from_pylist(records), name)
    elif name.endswith((".csv", ".tsv")):
        with open(name, "w", newline="") as file:
            delimiter = "\t" if name.endswith(".tsv") else ","
            writer = csv.DictWriter(file, list(records[0]), delimiter=delimiter)
            writer.writeheader()
            writer.writerows(records)
    elif name.endswith(".json"):
        Path(name).write_text(json.dumps(records))
    else:
        text = "".join(json.dumps(record) + "\n" for record in records)
        Path(name).write_bytes(
            gzip.compress(text.encode()) if name.endswith(".gz") else text.encode()
        )
    return look_at(name, load_registry(), columns)


@pytest.mark.parametrize("name", ["a.jsonl", "a.json", "a.parquet", "a.jsonl.gz"])
def test_messages_are_chats_in_every_format(name: str) -> None:
    found = look(name, [{"messages": [ASKED, SAID], "id": n} for n in range(3)])
    assert found.layout.kind == "chat"
    assert found.layout.read == {"use": "conversations", "field": "messages"}
    assert found.unread == ("id",)
    assert found.summary() == (
        f"{name}: 3 rows of messages; longest 5 words; 2 turns each; not read: id"
    )


def test_turns_of_sharegpt_are_found_under_their_own_name() -> None:
    turns = [{"from": "human", "value": "a b c"}, {"from": "gpt", "value": "d"}]
    found = look("a.jsonl", [{"conversations": turns}, {"conversations": turns * 2}])
    assert found.layout.read == {"use": "conversations", "field": "conversations"}
    assert "ShareGPT turns in `conversations`; longest 8 words; 2 to 4 turns" in found.summary()
    assert look("b.jsonl", [{"talk": turns}]).layout.read["field"] == "talk"


@pytest.mark.parametrize(
    ("name", "record", "read", "template"),
    [
        ("a.json", {"instruction": "i", "input": "", "output": "o"}, {"use": "alpaca"}, "alpaca"),
        ("a.csv", {"instruction": "i", "output": "o"}, {"use": "alpaca"}, "alpaca"),
        (
            "a.jsonl",
            {"instruction": "i", "context": "c", "response": "o"},
            {"use": "jsonl", "columns": {"instruction": "instruction", "input": "context",
                                         "output": "response"}},
            "alpaca",
        ),
        (
            "a.tsv",
            {"Question": "q", "Answer": "7"},
            {"use": "csv", "delimiter": "\t",
             "columns": {"instruction": "Question", "output": "Answer"}},
            "question-answer",
        ),
        (
            "a.parquet",
            {"prompt": "p", "completion": "c"},
            {"use": "parquet", "columns": {"instruction": "prompt", "output": "completion"}},
            "text",
        ),
        (
            "a.jsonl",
            {"question": "q", "answer": 7},
            {"use": "jsonl", "columns": {"instruction": "question", "output": "answer"},
             "as_text": ["output"]},
            "question-answer",
        ),
        (
            "a.json",
            {"instruction": "i", "input": "", "output": "o", "history": [["q", "a"]]},
            {"use": "alpaca", "history": "history"},
            "alpaca",
        ),
        ("a.csv", {"text": "t", "n": 1}, {"use": "csv", "columns": {"output": "text"}}, "text"),
        ("a.json", {"verse": "t"}, {"use": "json", "columns": {"output": "verse"}}, "text"),
    ],
)  # fmt: skip
def test_usual_columns_choose_reader_and_template(
    name: str, record: dict[str, Any], read: dict[str, Any], template: str
) -> None:
    found = look(name, [record] * 4)
    assert found.layout.read == read
    assert found.layout.template["use"] == template
    assert found.counts is not None
    assert found.counts.rows == 4
    assert found.unread == (("n",) if "n" in record else ())


def test_prompts_that_end_in_white_space_get_none_more() -> None:
    apart = look("a.jsonl", [{"prompt": "p", "completion": "c"}])
    joined = look("b.jsonl", [{"prompt": "p", "completion": " c"}])
    assert apart.layout.template["prompt"] == "{instruction}\n"
    assert joined.layout.template["prompt"] == "{instruction}"


def test_lines_in_a_file_named_json_are_read_as_lines() -> None:
    Path("a.json").write_text('{"text": "one"}\n{"text": "two"}\n')
    assert look_at("a.json", load_registry()).layout.read["use"] == "jsonl"


def test_a_list_inside_an_object_is_read_by_its_name() -> None:
    pairs = [{"input": f"{n} + 1", "target": str(n + 1)} for n in range(3)]
    Path("a.json").write_text(json.dumps({"canary": "c", "examples": pairs, "note": []}))
    found = look_at("a.json", load_registry())
    columns = {"instruction": "input", "output": "target"}
    assert found.layout.read == {"use": "json", "field": "examples", "columns": columns}
    assert found.counts is not None
    assert found.counts.rows == 3


def test_a_task_file_is_read_by_the_reader_of_its_kind() -> None:
    rows = [{"id": f"task1-{n}", "input": "a", "output": ["b"]} for n in range(3)]
    task = {"Definition": ["Do it."], "Positive Examples": rows, "Instances": rows}
    Path("task1_a.json").write_text(json.dumps(task))
    found = look_at("task1_a.json", load_registry())
    assert found.layout.read == {"use": "natural-instructions"}
    assert found.unread == ()


CHOICES = [
    ([{"question": "q", "choices": ["a", "b"], "answer": 1}], {}),
    ([{"passage": "p", "question": "q", "options": ["(A)a", "(B)b"], "label": "B", "answer": None}],
     {"choices": "options", "answer": "label", "strip": LETTER, "fields": {"passage": "passage"},
      "instruction": "{passage}\n\n{question}\n{options}"}),
    ([{"question": "q", "choice0": "a", "choice1": "b", "choice2": "c", "answer": 2}],
     {"choices": ["choice0", "choice1", "choice2"]}),
    ([{"question": "q", "A": "a", "B": "b", "answer": "B"}], {"choices": ["A", "B"]}),
    ([{"input": "q", "target_scores": {"a": 0, "b": 1}}],
     {"question": "input", "choices": "target_scores", "answer": None}),
    ([{"question": "q", "choices": {"text": ["a", "b"], "label": ["A", "B"]}, "answerKey": "B"}],
     {"answer": "answerKey"}),
]  # fmt: skip


@pytest.mark.parametrize(("records", "read"), CHOICES)
def test_multiple_choice_questions_have_their_choices(
    records: list[Any], read: dict[str, Any]
) -> None:
    found = look("a.jsonl", records * 3)
    assert found.layout.read == {"use": "multiple-choice", **read}
    assert found.counts is not None
    assert (found.counts.rows, found.counts.bad) == (3, 0)


def test_a_table_without_a_header_is_asked_about() -> None:
    Path("a.tsv").write_text("How much is 2 + 2?\t4\nHow much is 3 + 3?\t6\n")
    with pytest.raises(InputError) as caught:
        look_at("a.tsv", load_registry())
    assert "names: [instruction, output]" in str(caught.value.hint)


def test_earlier_turns_of_instructions_are_read() -> None:
    row = {"instruction": "i", "output": "o"}
    found = look("a.jsonl", [{**row, "history": [["q", "a"]]}, {**row, "history": []}])
    assert found.summary().endswith("longest 4 words; 1 with earlier turns")


def test_one_chat_in_a_json_file_is_a_chat() -> None:
    Path("a.json").write_text(json.dumps({"messages": [ASKED, SAID]}))
    assert look_at("a.json", load_registry()).layout.kind == "chat"


def test_columns_can_be_mapped() -> None:
    records = [{"foo": "f", "bar": "b", "talk": {"turns": [ASKED, SAID]}}]
    pair = look("a.jsonl", records, {"instruction": "foo", "output": "bar"})
    assert pair.layout.read["columns"] == {"instruction": "foo", "output": "bar"}
    assert pair.layout.template == {"use": "alpaca"}
    assert pair.unread == ("talk",)
    plain = look("a.jsonl", records, {"output": "bar"})
    assert plain.layout.kind == "completion"
    chat = look("a.jsonl", records, {"messages": "talk.turns"})
    assert chat.layout.read["field"] == "talk.turns"


def test_what_cannot_be_trained_on_is_counted_and_left_out() -> None:
    chats = [[ASKED, SAID]] * 8 + [[ASKED, SAID, ASKED]] * 2 + [[SAID]]
    found = look("a.jsonl", [{"messages": chat, "tools": [{"name": "t"}]} for chat in chats])
    assert found.layout.read["unanswered"] == "drop"
    assert found.layout.read["on_bad_row"] == "drop"
    assert found.as_json() == {
        "file": "a.jsonl", "layout": "chat", "rows": 8, "longest_words": 5, "tools": 8,
        "unanswered": 2, "unreadable": 1, "unread": [],
    }  # fmt: skip
    assert "left out 2 that end without an answer" in found.summary()
    assert "left out 1 that cannot be read (first: line 11: " in found.summary()


def test_names_of_fields_cannot_act_on_a_terminal() -> None:
    found = look("a.jsonl", [{"text": "t", "\x1b[2J\n": 1}])
    assert "not read: \\x1b[2J\\n" in found.summary()
    with pytest.raises(InputError, match=r"\\x1b\[2J\\n"):
        look("b.jsonl", [{"a": "t", "\x1b[2J\n": 1}])


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        (None, "no usual names of training data: `foo`, `bar`.*--columns instruction=FIELD,output"),
        ({"output": "baz"}, "no record has a field `baz`.*did you mean `bar`"),
        ({"outputs": "bar"}, "`outputs` cannot be mapped.*known: messages, instruction"),
        ({"instruction": "bar"}, "name no `output`"),
        ({"messages": "bar"}, "not one of 1 records could be read.*a list of turns, found a text"),
    ],
)
def test_unknown_columns_are_listed_with_the_way_to_map_them(
    columns: dict[str, str] | None, words: str
) -> None:
    with pytest.raises(InputError) as caught:
        look("a.jsonl", [{"foo": "f", "bar": "b"}], columns)
    import re

    assert re.search(words, str(caught.value), re.DOTALL)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.jsonl", b"", "the file holds no record"),
        ("a.jsonl", b"{\n", "broken JSON"),
        ("a.json", b'{"a": [{"text": "t"}, {"text": "u"}], "b": [{"text": "t"}, {"text": "u"}]}',
         "lists in it: `a`, `b`"),
        ("a.json", b'{"data": [{"turns": [{"role": "user", "content": "a"}]}, '
                   b'{"turns": [{"role": "user", "content": "a"}]}]}', """jq -c '.["data"][]'"""),
        ("a.json", b'[{"text": "t"}', "broken JSON"),
        ("a.csv", b'text\n"a', "broken CSV"),
        ("a.parquet", b"PAR1", "not a whole Parquet file"),
        ("a.txt", b"a", "cannot infer the format"),
        ("a.jsonl", b"\xff\xfe{\x00", "UTF-16"),
        ("a.jsonl", b"[1]\n", "an object with fields was expected"),
        ("a.jsonl", b'{"prompt": [{"role": "user", "content": "a"}], '
                    b'"completion": [{"role": "assistant", "content": "a"}]}', "no usual names"),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_used_is_invalid_input(name: str, content: bytes, words: str) -> None:
    Path(name).write_bytes(content)
    with pytest.raises(InputError) as caught:
        look_at(name, load_registry())
    assert words in str(caught.value)
    assert caught.value.status == 2


def test_a_missing_file_suggests_one_beside_it(tmp_path: Path) -> None:
    Path("chats.jsonl").touch()
    with pytest.raises(InputError, match=r"did you mean chats\.jsonl"):
        look_at("chat.jsonl", load_registry())
    with pytest.raises(InputError, match="is a folder"):
        look_at(str(tmp_path), load_registry())
    with pytest.raises(InputError, match="there is no file"):
        look_at("a\0b", load_registry())


@pytest.mark.parametrize(
    ("file", "name"), [("d/My Chats.v2.jsonl.gz", "my-chats"), ("対話.jsonl", "data")]
)
def test_a_data_set_is_named_after_its_file(file: str, name: str) -> None:
    assert data_set_name(file) == name
