"""Prompts from files and messages; nothing is generated."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from khichdi.plugins.toolkit.answer_text import Sampling
from khichdi.project.generate import check_messages, check_sampling, read_prompts
from khichdi.runtime.inference import row_of
from khichdi.schema.errors import InputError


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("{", "it is not JSON"),
        ("[1]", "an object with"),
        ('{"text": "a"}', "an object with"),
        ('{"prompt": 3}', "`prompt` is not a text"),
        ('{"messages": []}', "not a list of messages"),
        ('{"messages": [{"role": "usr", "content": "a"}]}', "no role `usr`"),
        ('{"messages": [{"role": "user", "content": 3}]}', "`content` is not a text"),
        ('{"messages": [{"role": "assistant", "content": "a"}]}', "nothing to answer"),
    ],
)
def test_a_line_that_is_no_prompt_is_named(tmp_path: Path, line: str, expected: str) -> None:
    file = tmp_path / "p.jsonl"
    file.write_text('"good"\n' + line + "\n")
    with pytest.raises(InputError, match=r"p\.jsonl:2") as caught:
        read_prompts(file)
    assert expected in f"{caught.value.message} {caught.value.hint}"


def test_a_file_has_texts_chats_and_instructions(tmp_path: Path) -> None:
    file = tmp_path / "p.jsonl"
    chat = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello"}]
    lines = ["Hello", {"instruction": "Add.", "input": "1 2"}, {"messages": chat}]
    file.write_text("\n".join(map(json.dumps, lines)) + "\n\n")
    one, two, three = read_prompts(file)
    assert one == row_of([{"role": "user", "content": "Hello"}])
    assert isinstance(two, dict)
    assert (two["instruction"], two["input"]) == ("Add.", "1 2")
    assert three == row_of(chat)
    text = tmp_path / "p.txt"
    text.write_text("Hello\n\nBye\n")
    assert read_prompts(text, raw=True) == ["Hello", "Bye"]


@pytest.mark.parametrize("raw", [b"", b"\n \n", b"\xff\xfe"])
def test_a_file_without_prompts_is_refused(tmp_path: Path, raw: bytes) -> None:
    (tmp_path / "p.txt").write_bytes(raw)
    with pytest.raises(InputError, match=r"p\.txt"):
        read_prompts(tmp_path / "p.txt")
    with pytest.raises(InputError, match="cannot read"):
        read_prompts(tmp_path)


def test_parts_of_a_message_are_joined_and_earlier_answers_stripped() -> None:
    parts = [{"type": "text", "text": "One, "}, {"type": "text", "text": "two?"}]
    messages = [
        {"role": "user", "content": parts},
        {"role": "assistant", "content": " 1, 2 \n"},
        {"role": "user", "content": " more "},
    ]
    turns = row_of(check_messages(messages, "here"))["turns"]
    assert [turn["text"] for turn in turns] == ["One, two?", "1, 2", " more ", ""]
    image = [{"type": "image_url", "image_url": {"url": "http://a"}}]
    with pytest.raises(InputError, match="not a text"):
        check_messages([{"role": "user", "content": image}], "here")


@pytest.mark.parametrize(
    "wrong",
    [Sampling(0), Sampling(1, temperature=-1), Sampling(1, temperature=float("nan")),
     Sampling(1, top_p=0), Sampling(1, top_p=1.1), Sampling(1, seed=-1)],
)  # fmt: skip
def test_settings_that_nothing_can_be_generated_by_are_refused(wrong: Sampling) -> None:
    check_sampling(Sampling(1, temperature=0.7, top_p=0.9, seed=5))
    with pytest.raises(InputError, match="was expected"):
        check_sampling(wrong)
