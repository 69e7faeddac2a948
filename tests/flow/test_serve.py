"""The server answers OpenAI's own client, as `recipe generate` does, and refuses what is wrong."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from khichdi.plugins.toolkit.answer_text import Sampling
from khichdi.project.generate import as_prompt, generate, run_model
from khichdi.project.run_lookup import Run, open_run
from khichdi.project.server.serve import ServeOptions
from khichdi.project.server.worker import Worker
from khichdi.schema.errors import InputError

from .conftest import Workdir

openai = pytest.importorskip("openai", reason="OpenAI's client is not installed")
pytest.importorskip("uvicorn", reason="the extra `serve` is not installed")

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "use.md"
ASKED = "Name a capital."
TOKENS = 12


@pytest.fixture(scope="module")
def run(shared_run: tuple[Workdir, Any]) -> Run:
    return open_run(store=shared_run[0].folder / "store")


@pytest.fixture(scope="module")
def server(run: Run) -> Iterator[str]:
    """Serve the run by the command, and hold that it ends well."""
    process = subprocess.Popen(
        [sys.executable, "-m", "khichdi.cli", "serve", run.name, "--port", "0", "--json"],
        env={**os.environ, "KHICHDI_STORE": str(run.store.root)},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    text = ""
    while "}" not in text:
        line = process.stdout.readline()
        assert line, process.communicate()[1]
        text += line
    yield json.loads(text)["url"]
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out.strip(), err) == (0, "", "")


@pytest.fixture(scope="module")
def client(server: str) -> Any:
    return openai.OpenAI(base_url=server, api_key="none", max_retries=0, timeout=120)


@pytest.fixture(scope="module")
def told(run: Run) -> dict[bool, str]:
    """Return the answers of `recipe generate`, of the base and of the trained model."""
    with run_model(run) as model:
        return {
            base: generate(model, [as_prompt(ASKED)], Sampling(TOKENS), base=base)[0].text
            for base in (False, True)
        }


def chat(client: Any, model: str, **more: Any) -> Any:
    messages = [{"role": "user", "content": ASKED}]
    return client.chat.completions.create(
        model=model, messages=messages, **{"max_tokens": TOKENS, **more}
    )


def test_it_lists_the_trained_model_and_its_base(client: Any, run: Run) -> None:
    assert [model.id for model in client.models.list()] == [run.name, "base"]
    assert client.models.retrieve("base").owned_by == "pico"


def test_answers_are_those_of_generate_whole_and_streamed(
    client: Any, run: Run, told: dict[bool, str]
) -> None:
    assert told[True] != told[False]
    for base, model in ((False, run.name), (True, "base")):
        whole = chat(client, model)
        assert whole.choices[0].message.content == told[base]
        assert whole.usage.completion_tokens <= TOKENS
        assert whole.usage.total_tokens == whole.usage.prompt_tokens + whole.usage.completion_tokens
        assert whole.system_fingerprint == run.result_hash
        events = list(chat(client, model, stream=True, stream_options={"include_usage": True}))
        pieces = [event.choices[0].delta.content or "" for event in events if event.choices]
        assert "".join(pieces) == told[base]
        assert events[-1].usage == whole.usage
        ends = [event.choices[0].finish_reason for event in events if event.choices]
        assert [end for end in ends if end] == [whole.choices[0].finish_reason]


def test_32_at_once_are_each_answered_the_same(
    client: Any, run: Run, told: dict[bool, str]
) -> None:
    def ask(number: int) -> tuple[bool, str]:
        base = number % 2 == 1
        if number % 4 < 2:
            answer = chat(client, "base" if base else run.name)
            return base, answer.choices[0].message.content
        events = chat(client, "base" if base else run.name, stream=True)
        return base, "".join(event.choices[0].delta.content or "" for event in events)

    with ThreadPoolExecutor(32) as pool:
        answers = list(pool.map(ask, range(32)))
    assert [text for _, text in answers] == [told[base] for base, _ in answers]


def test_texts_are_completed_as_they_are(client: Any, run: Run) -> None:
    texts = ["Rome is", "Two and two"]
    found = client.completions.create(model=run.name, prompt=texts, max_tokens=6)
    assert [choice.text for choice in found.choices] == run.generate(
        texts, raw=True, max_new_tokens=6
    )
    events = client.completions.create(model=run.name, prompt=texts[0], max_tokens=6, stream=True)
    assert "".join(event.choices[0].text for event in events) == found.choices[0].text


def test_the_client_of_the_document_works(
    server: str, told: dict[bool, str], capsys: pytest.CaptureFixture[str]
) -> None:
    blocks = re.findall(r"^```python\n(.*?)^```$", DOCUMENT.read_text(), re.DOTALL | re.MULTILINE)
    [code] = [block for block in blocks if "openai" in block]
    assert "http://127.0.0.1:8000/v1" in code
    exec(compile(code.replace("http://127.0.0.1:8000/v1", server), "use.md", "exec"), {})
    assert capsys.readouterr().out.startswith(told[True])


def test_stops_and_seeds_hold(client: Any, run: Run, told: dict[bool, str]) -> None:
    stop = told[False][2:4]
    cut = chat(client, run.name, stop=[stop]).choices[0]
    assert cut.message.content == told[False][: told[False].index(stop)]
    assert cut.finish_reason == "stop"

    def drawn(**more: Any) -> str:
        answer = chat(client, run.name, temperature=1.5, **more)
        return str(answer.choices[0].message.content)

    assert drawn(seed=3) == drawn(seed=3)
    assert len({drawn(seed=seed) for seed in range(3)}) > 1


@pytest.mark.parametrize(
    ("path", "body", "status", "words"),
    [
        ("chat/completions", "{", 400, "not JSON"),
        ("chat/completions", "[" * 100_000, 400, "not JSON"),
        ("chat/completions", "[]", 400, "not a JSON object"),
        ("chat/completions", {}, 400, "`model` is missing"),
        ("chat/completions", {"model": "gpt"}, 404, "no model `gpt`"),
        ("chat/completions", {"model": "base"}, 400, "`messages` is missing"),
        ("chat/completions", {"model": "base", "messages": [3]}, 400, "messages[0]"),
        ("completions", {"model": "base", "prompt": [3]}, 400, "`prompt` is not a text"),
        ("completions", {"model": "base", "prompt": "a", "logprobs": 2}, 400, "not supported"),
        ("completions", {"model": "base", "prompt": "a", "tempo": 2}, 400, "argument: tempo"),
        ("completions", {"model": "base", "prompt": "a", "temperature": 9}, 400, "from 0 to 2"),
        ("completions", {"model": "base", "prompt": "a", "seed": 1.5}, 400, "a whole number"),
        ("completions", {"model": "base", "prompt": "a", "max_tokens": 10**6}, 400, "context"),
        ("completions", {"model": "base", "prompt": "a", "n": 2}, 400, "`n` is not supported"),
        ("nope", {}, 404, "nothing at"),
    ],
)
def test_what_is_wrong_is_said(server: str, path: str, body: Any, status: int, words: str) -> None:
    raw = body if isinstance(body, str) else json.dumps(body)
    found = httpx.post(
        f"{server}/{path}", content=raw, headers={"content-type": "application/json"}
    )
    assert found.status_code == status, found.text
    assert words in found.json()["error"]["message"]


def test_pages_of_other_sites_cannot_ask(server: str) -> None:
    body = json.dumps({"model": "base", "prompt": "a"})
    plain = httpx.post(f"{server}/completions", content=body)
    assert plain.status_code == 415
    other = httpx.get(f"{server}/models", headers={"host": "evil.example"})
    assert other.status_code == 400


# ---- limits, on the application itself ------------------------------------------------------


def asked(run: Run, count: int, headers: dict[str, str], **limits: Any) -> list[httpx.Response]:
    """Ask a server of its own so many times at once."""
    from khichdi.project.server.app import Service, make_app

    worker = Worker(partial(run_model, run), limits.get("waiting", 8), 8)
    worker.start()
    service = Service(
        worker, ("base",), "pico", 0, "f", limits.get("token"), ("*",), limits.get("timeout", 60)
    )

    async def ask_all() -> list[httpx.Response]:
        transport = httpx.ASGITransport(make_app(service))
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            body = {"model": "base", "prompt": "a", "max_tokens": 200}
            return list(
                await asyncio.gather(
                    *(client.post("/v1/completions", json=body, headers=headers)
                      for _ in range(count))
                )
            )  # fmt: skip

    try:
        return asyncio.run(ask_all())
    finally:
        worker.stop()
        assert not worker._thread.is_alive()


def test_a_full_queue_and_a_late_answer_are_errors(run: Run) -> None:
    full = [one.status_code for one in asked(run, 6, {}, waiting=1)]
    assert set(full) == {200, 429}
    assert full.count(200) <= 3
    late = asked(run, 1, {}, timeout=0.05)
    assert [one.status_code for one in late] == [504]


def test_a_token_is_asked_for(run: Run) -> None:
    for headers, status in (
        ({}, 401),
        ({"authorization": "Bearer wrong-token"}, 401),
        ({"authorization": "Bearer right-token"}, 200),
    ):
        [found] = asked(run, 1, headers, token="right-token")
        assert found.status_code == status


def test_others_are_not_let_in_without_a_token() -> None:
    ServeOptions(host="::1").check()
    ServeOptions(host="0.0.0.0", token="long-enough").check()
    for host in ("0.0.0.0", "::", "192.0.2.1", "example.org"):
        with pytest.raises(InputError, match="others can reach") as caught:
            ServeOptions(host=host).check()
        assert "KHICHDI_SERVE_TOKEN" in str(caught.value.hint)
    for wrong in (
        ServeOptions(port=70000), ServeOptions(token="short"), ServeOptions(waiting=0),
        ServeOptions(timeout=0), ServeOptions(new_tokens=0),
    ):  # fmt: skip
        with pytest.raises(InputError):
            wrong.check()
