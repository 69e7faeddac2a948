"""Requests and responses of OpenAI's API; nothing listens and nothing is generated."""

from __future__ import annotations

import json
from typing import Any

import pytest

from khichdi.plugins.toolkit.answer_text import Piece
from khichdi.project.server.protocol import ApiError, Reply, Request, read_request
from khichdi.project.server.serve import ServeOptions
from khichdi.schema.errors import InputError

MODELS = ("run-1", "base")
CHAT = {"model": "run-1", "messages": [{"role": "user", "content": "Hello"}]}
TEXT = {"model": "base", "prompt": "Hello"}


def read(body: dict[str, Any], kind: str = "chat") -> Request:
    return read_request(kind, json.dumps(body).encode(), MODELS)


def test_a_request_is_read_with_what_it_leaves_out() -> None:
    plain = read(CHAT)
    assert (plain.base, plain.stream, plain.usage) == (False, False, False)
    assert (plain.sampling.temperature, plain.sampling.top_p) == (0, 1)
    assert (plain.sampling.max_new_tokens, plain.sampling.stop) == (0, ())
    more = {"max_completion_tokens": 5, "stop": "x", "temperature": 0.5, "top_p": 0, "seed": 7}
    full = read(
        {**CHAT, **more, "stream": True, "stream_options": {"include_usage": True}, "user": "me",
         "logprobs": False, "tools": [], "frequency_penalty": 0, "n": 1, "metadata": None}
    )  # fmt: skip
    assert (full.sampling.max_new_tokens, full.sampling.stop) == (5, ("x",))
    assert (full.sampling.temperature, full.sampling.seed) == (0.5, 7)
    assert 0 < full.sampling.top_p < 1e-6
    assert full.stream
    assert full.usage


@pytest.mark.parametrize(
    ("body", "status", "param"),
    [
        ({**CHAT, "tempo": 1}, 400, "tempo"),
        ({**CHAT, "tools": [{"type": "function"}]}, 400, "tools"),
        ({**CHAT, "logprobs": True}, 400, "logprobs"),
        ({**CHAT, "logprobs": 0.0}, 400, "logprobs"),
        ({**CHAT, "response_format": {"type": "json_object"}}, 400, "response_format"),
        ({**CHAT, "n": 2}, 400, "n"),
        ({**CHAT, "stream": "yes"}, 400, "stream"),
        ({**CHAT, "stream_options": 1}, 400, "stream_options"),
        ({**CHAT, "max_tokens": 0}, 400, "max_tokens"),
        ({**CHAT, "max_tokens": True}, 400, "max_tokens"),
        ({**CHAT, "stop": ["a", ""]}, 400, "stop"),
        ({**CHAT, "stop": list("abcde")}, 400, "stop"),
        ({**CHAT, "model": "run-2"}, 404, "model"),
        ({**CHAT, "model": 1}, 400, "model"),
        ({**CHAT, "prompt": "a"}, 400, "prompt"),
        ({**CHAT, "messages": "Hello"}, 400, "messages"),
        ({"model": "base"}, 400, "messages"),
    ],
)
def test_a_request_that_asks_for_more_is_refused_by_name(
    body: dict[str, Any], status: int, param: str
) -> None:
    with pytest.raises(ApiError) as caught:
        read(body)
    assert (caught.value.status, caught.value.param) == (status, param)
    assert caught.value.body()["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize("prompt", [3, [], [3], [["a"]], ["a"] * 65, {}])
def test_a_prompt_is_a_text_or_some(prompt: Any) -> None:
    assert read({**TEXT, "prompt": ["a", "b"]}, "completions").prompts == ("a", "b")
    with pytest.raises(ApiError, match="not a text or a list"):
        read({**TEXT, "prompt": prompt}, "completions")


@pytest.mark.parametrize("kind", ["chat", "completions"])
def test_events_make_up_the_whole_answer(kind: str) -> None:
    body = CHAT if kind == "chat" else TEXT
    request = read({**body, "stream_options": {"include_usage": True}}, kind)
    reply = Reply(request, 1, "print", "id-1")
    pieces = [Piece("He", 1), Piece("", 2), Piece("llo", 3, "length")]
    events = [*reply.start(), *(event for one in pieces for event in reply.piece(0, one))]
    choices = [event["choices"][0] for event in events]
    texts = [
        one["delta"].get("content") or "" if kind == "chat" else one["text"] for one in choices
    ]
    whole = reply.whole(["Hello"], ["length"], {"total_tokens": 4})
    [choice] = whole["choices"]
    said = choice["message"]["content"] if kind == "chat" else choice["text"]
    assert "".join(texts) == said == "Hello"
    ends = [one["finish_reason"] for one in choices if one["finish_reason"]]
    assert ends == [choice["finish_reason"]] == ["length"]
    [last] = reply.end({"total_tokens": 4})
    assert (last["choices"], last["usage"]) == ([], whole["usage"])


def test_others_are_not_let_in_without_a_token() -> None:
    ServeOptions(host="::1").check()
    ServeOptions(host="0.0.0.0", token="long-enough").check()
    ServeOptions(host="0.0.0.0", anybody=True).check()
    for host in ("0.0.0.0", "::", "192.0.2.1", "example.org"):
        with pytest.raises(InputError, match="others can reach") as caught:
            ServeOptions(host=host).check()
        assert "KHICHDI_SERVE_TOKEN" in str(caught.value.hint)
    for wrong in (
        ServeOptions(port=70000), ServeOptions(token="short"), ServeOptions(waiting=0),
        ServeOptions(timeout=0), ServeOptions(new_tokens=0),
        ServeOptions(token="long-enough", anybody=True),
    ):  # fmt: skip
        with pytest.raises(InputError):
            wrong.check()
