from __future__ import annotations

import json

import pytest
from pydantic import ValidationError

from khichdi.plugins.registry import load_registry
from khichdi.schema.errors import StepError


def lima(real):
    """Return LIMA's conversations as lists of texts, as its authors publish them."""
    for record in json.loads((real / "lima/lima.json").read_text()):
        pairs = [*record["history"], [record["instruction"], record["output"]]]
        yield [text for pair in pairs for text in pair]


SHAPES = {
    "texts": lambda talk: talk,
    "from and value": lambda talk: [
        {"from": ("human", "gpt")[n % 2], "value": text} for n, text in enumerate(talk)
    ],
    "role and content": lambda talk: [
        {"role": ("user", "assistant")[n % 2], "content": text} for n, text in enumerate(talk)
    ],
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("ending", ["jsonl", "json"])
def test_lima_is_read_in_every_shape(read, real, tmp_path, shape, ending):
    talks = list(lima(real))
    file = tmp_path / f"train.{ending}"
    records = [{"conversations": SHAPES[shape](talk), "source": "stackexchange"} for talk in talks]
    lines = [json.dumps(record) for record in records]
    file.write_text("\n".join(lines) if ending == "jsonl" else f"[{','.join(lines)}]")

    rows = read("conversations", {"columns": {"provenance": "source"}}, file)

    assert len(rows) == 686
    assert [row["instruction"] for row in rows] == [talk[0] for talk in talks]
    assert [row["output"] for row in rows] == [talk[1] for talk in talks]
    assert [[turn["text"] for turn in row["turns"]] for row in rows] == talks
    assert {turn["role"] for row in rows for turn in row["turns"][::2]} == {"user"}
    assert {turn["role"] for row in rows for turn in row["turns"][1::2]} == {"assistant"}
    assert {row["provenance"] for row in rows} == {"stackexchange"}
    assert rows[0]["references"] == [talks[0][1]]


def test_a_system_turn_stays_in_the_turns_and_out_of_the_instruction(read, tmp_path):
    talk = [
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": "why?"},
        {"role": "assistant", "content": "because"},
    ]
    file = tmp_path / "s.jsonl"
    file.write_text(json.dumps({"messages": talk}))

    [row] = read("conversations", {"field": "messages"}, file)

    assert (row["instruction"], row["output"]) == ("why?", "because")
    assert row["turns"][0] == {"role": "system", "text": "be brief", "extra": ""}


def test_turns_without_an_answer_are_left_out_only_when_asked(read, tmp_path):
    file = tmp_path / "u.jsonl"
    file.write_text(json.dumps({"conversations": ["a", "b", "c"]}))

    [row] = read("conversations", {"unanswered": "trim"}, file)

    assert [turn["text"] for turn in row["turns"]] == ["a", "b"]
    with pytest.raises(StepError, match="continues after the assistant's last turn"):
        read("conversations", {}, file)


BROKEN = {
    "no field": ({"talk": []}, "found no such field"),
    "a text": ({"conversations": "hi"}, "must be a list of turns, found a text"),
    "no turns": ({"conversations": []}, "no turn by the assistant"),
    "one turn": ({"conversations": ["hi"]}, "no turn by the assistant"),
    "a number": ({"conversations": ["hi", 3]}, "turn 1 must be a text, found a number"),
    "assistant first": (
        {"conversations": [{"from": "gpt", "value": "hi"}]},
        "starts with the assistant",
    ),
    "unknown role": ({"conversations": [{"from": "cat", "value": "miau"}]}, "unknown role 'cat'"),
    "unknown keys": ({"conversations": [{"who": "user", "says": "hi"}]}, "turn 0 has who, says"),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_a_bad_conversation_is_named(read, tmp_path, fault):
    record, message = BROKEN[fault]
    file = tmp_path / "bad.jsonl"
    file.write_text(json.dumps({"conversations": ["a", "b"]}) + "\n" + json.dumps(record))

    with pytest.raises(StepError) as caught:
        read("conversations", {}, file)

    assert message in caught.value.message
    assert caught.value.line == 2


def test_an_unknown_format_is_refused(read, tmp_path):
    file = tmp_path / "data.xlsx"
    file.write_bytes(b"PK")
    with pytest.raises(StepError, match=r"cannot infer the format from the extension '.xlsx'"):
        read("conversations", {}, file)


def test_columns_that_come_from_the_turns_cannot_be_mapped():
    with pytest.raises(ValidationError, match="these come from the turns"):
        load_registry().create("reader", "conversations", {"columns": {"output": "x"}})


# ---- what a turn carries --------------------------------------------------------------------

CALL = {"id": "c1", "type": "function", "function": {"name": "now", "arguments": '{"in": "Rome"}'}}
TOOLS = [{"type": "function", "function": {"name": "now", "parameters": {"type": "object"}}}]
CHAT = [
    {"role": "developer", "content": "be brief"},
    {"role": "user", "name": "Ann", "content": [{"type": "text", "text": "what "}, "time?"]},
    {"role": "assistant", "content": None, "tool_calls": [CALL], "reasoning": "ask"},
    {"role": "tool", "tool_call_id": "c1", "content": "noon"},
    {"role": "assistant", "content": "BAD", "weight": 0},
    {"role": "user", "content": "sure?"},
    {"role": "assistant", "content": "Noon.", "train": True},
]


@pytest.fixture
def chat(read, tmp_path):
    """Return a reader of one record."""

    def one(record, **params):
        file = tmp_path / "chat.jsonl"
        file.write_text(json.dumps(record))
        return read("conversations", {"field": "messages", **params}, file)

    return one


def extras(row):
    return [json.loads(turn["extra"] or "{}") for turn in row["turns"]]


def test_a_turn_keeps_what_it_carries(chat):
    [row] = chat({"messages": CHAT, "tools": TOOLS})
    call = CALL | {"function": {"name": "now", "arguments": {"in": "Rome"}}}
    assert [turn["role"] for turn in row["turns"]] == [turn["role"] for turn in CHAT]
    assert row["turns"][1]["text"] == "what time?"
    assert extras(row) == [
        {}, {"name": "Ann"},
        {"tool_calls": [call], "reasoning_content": "ask", "content": None},
        {"tool_call_id": "c1"}, {"train": False}, {}, {},
    ]  # fmt: skip
    assert json.loads(row["tools"]) == TOOLS
    assert row["instruction"] == "what time?"


def test_tools_and_a_system_prompt_may_stand_beside_the_turns(chat):
    record = {"messages": ["a", "b"], "system": "be kind", "tools": json.dumps(TOOLS)}
    [row] = chat(record)
    assert [turn["text"] for turn in row["turns"]] == ["be kind", "a", "b"]
    assert json.loads(row["tools"]) == TOOLS
    [row] = chat(record, ignore=["system", "tools"])
    assert ([turn["text"] for turn in row["turns"]], row["tools"]) == (["a", "b"], "")


def test_what_is_ignored_on_purpose_is_left_out(chat):
    fields = ["tool_calls", "reasoning_content", "name", "weight"]
    talk = [CHAT[1], {"role": "assistant", "content": "x", "weight": 0, "tool_calls": [CALL]}]
    [row] = chat({"messages": talk}, ignore=fields)
    assert extras(row) == [{}, {}]


def test_an_unanswered_chat_is_dropped_when_asked(read_all, tmp_path):
    file = tmp_path / "u.jsonl"
    lines = [json.dumps({"conversations": turns}) for turns in (["a", "b", "c"], ["a", "b"])]
    file.write_text("\n".join(lines))
    [row], [drop] = read_all("conversations", {"unanswered": "drop"}, file)
    assert (drop.reason, drop.id, row["output"]) == ("unanswered", "u.jsonl#0", "b")


CARRIED = {
    "an image": ([{"role": "user", "content": [{"type": "image"}]}], "not text: 'image'"),
    "half a weight": (
        [{"role": "assistant", "content": "x", "weight": 0.5}], "`weight` is 0.5"),
    "a trained question": (
        [{"role": "user", "content": "x", "train": True}], "on a turn by `user`"),
    "calls that are no list": (
        [{"role": "assistant", "content": "", "tool_calls": {"a": 1}}], "a list of objects"),
    "calls that are no JSON": (
        [{"role": "assistant", "content": "", "tool_calls": "{"}], "is not JSON"),
    "a call of the older form": (
        [{"role": "assistant", "content": "", "function_call": {"name": "x"}}], "`function_call`"),
    "nothing": ([{"role": "assistant", "content": None}], "found nothing (null)"),
}  # fmt: skip


@pytest.mark.parametrize("fault", CARRIED)
def test_what_cannot_be_read_is_named(chat, fault):
    turns, message = CARRIED[fault]
    with pytest.raises(StepError) as caught:
        chat({"messages": [{"role": "user", "content": "a"}, *turns]})
    assert message in caught.value.message
    assert "turn 1" in caught.value.message


def test_tools_that_are_no_list_are_named(chat):
    with pytest.raises(StepError, match="`tools` must be a list of tools, found an object"):
        chat({"messages": ["a", "b"], "tools": {"name": "x"}})


def test_a_system_message_at_the_start_is_left_out_on_request(chat):
    talk = [{"role": "system", "content": "S"}, {"role": "user", "content": "Q"},
            {"role": "assistant", "content": "A"}]  # fmt: skip
    for record in ({"messages": talk}, {"messages": talk[1:], "system": "S"}):
        [row] = chat(record, drop_system=True)
        assert [turn["role"] for turn in row["turns"]] == ["user", "assistant"]
        [row] = chat(record)
        assert row["turns"][0]["role"] == "system"
