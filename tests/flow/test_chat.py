"""Chats from file to adapter: what is trained on, what is not, and where a run says so."""

from __future__ import annotations

import json
from typing import Any

import pytest

from .conftest import Workdir

# Thoughts only in the last answer; no system turn; writes the day.
TEMPLATE = """{{- strftime_now('%d %b %Y') }}
{%- for m in messages %}
{%- if m.role == 'system' %}{{ raise_exception('no system turn') }}{% endif %}
{{- '<' + m.role + '>' }}
{%- if m.role == 'assistant' and loop.last %}{{ '<think></think>' }}{% endif %}
{{- m.content + '<end>' }}
{%- endfor %}
{%- if add_generation_prompt %}{{ '<assistant>' }}{% endif %}
"""
DATA = """\
data:
  chats:
    source: {use: files, include: [chats.jsonl]}
    read: {use: conversations, field: messages}
mixture:
  validation: {count: 3}
"""
CHAT = f"template: {{use: chat, on_bad_row: drop, date: 2026-11-26, jinja: {json.dumps(TEMPLATE)}}}"


def turn(role: str, content: str, **more: Any) -> dict[str, Any]:
    return {"role": role, "content": content, **more}


def chats() -> list[list[dict[str, Any]]]:
    two = [
        [turn("user", f"Q{n}"), turn("assistant", f"A{n}"), turn("user", "And?"),
         turn("assistant", f"B{n}", weight=n % 2)]
        for n in range(16)
    ]  # fmt: skip
    long = [[turn("user", f"Go {n}"), turn("assistant", "word " * 60)] for n in range(4)]
    lost = [[turn("user", "word " * 60 + str(n)), turn("assistant", "ok")] for n in range(2)]
    refused = [[turn("system", "s"), turn("user", "a"), turn("assistant", "b")]]
    return [*two, *long, *lost, *refused]


@pytest.fixture
def chat_workdir(workdir: Workdir) -> Workdir:
    lines = [json.dumps({"messages": messages}) for messages in chats()]
    (workdir.folder / "chats.jsonl").write_text("\n".join(lines) + "\n")
    text = workdir.recipe.read_text()
    start, end = text.index("data:\n"), text.index("train:\n")
    workdir.recipe.write_text(text[:start] + DATA + text[end:])
    workdir.edit("template: {use: alpaca}", CHAT)
    workdir.edit("num_epochs: 3", "max_steps: 3")
    return workdir


def test_what_is_not_trained_on_whole_is_said_everywhere(chat_workdir: Workdir) -> None:
    workdir = chat_workdir
    status, out, err = workdir.call("run", "pico.yaml")
    assert status == 0, out + err
    assert "WARNING" in out + err
    runs = workdir.call("runs", "latest")[1]
    assert "recipe show-drops --step pack" in runs
    assert "tokens of a sample" in runs
    found = workdir.json("show-drops", "latest", "--step", "pack", "--limit", "0")
    by_reason: dict[str, list[Any]] = {}
    for entry in found["rows"]:
        by_reason.setdefault(entry["reason"], []).append(entry)
    assert {reason: len(entries) for reason, entries in by_reason.items()} == {
        "truncated": 4, "no-answer": 2, "refused": 1,
    }  # fmt: skip
    assert found["drops"] == {"no-answer": 2, "refused": 1, "truncated": 4}
    [refused] = by_reason["refused"]
    assert "no system turn" in refused["detail"]
    assert "sequence_len 96" in by_reason["truncated"][0]["detail"]
    for reason in ("truncated", "no-answer", "refused"):
        told = workdir.call("trace", "latest", "--row", by_reason[reason][0]["id"])[1]
        if "held out" not in told.splitlines()[-1]:
            assert reason in told, told
    card = workdir.call("card", "latest")[1]
    assert "truncated 4" in card
    assert "## Length in tokens" in card
    packed = next(s for s in workdir.json("runs", "latest")["steps"] if s["name"] == "pack")
    facts = packed["result"]["facts"]
    assert facts["rows_in"] == 23
    assert facts["rows_out"] == 20
    # Rewritten answers: one sample for each that counts; every other second answer does not.
    assert facts["train"]["samples"] + facts["validation"]["samples"] == 16 + 8 + 4
    assert facts["train"]["token_lengths"]["chats"]["max"] > 96


@pytest.mark.parametrize(
    ("setting", "status", "words"),
    [
        ("train.template.date=null", 2, "strftime_now"),
        ("train.template.on_bad_row=error", 3, "the chat template refuses the chat: no system"),
        ("train.overlong=error", 3, "`sequence_len` is 96"),
    ],
)
def test_a_chat_that_cannot_be_trained_on_ends_the_run(
    chat_workdir: Workdir, setting: str, status: int, words: str
) -> None:
    """It ends before training, names the row and says what to write."""
    code, out, err = chat_workdir.call("run", "pico.yaml", "--set", setting)
    assert code == status, out + err
    assert words in out + err
    assert "step 1" not in out + err
