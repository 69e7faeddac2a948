"""The server answers HELM's own client as `recipe generate` answers, and refuses what is wrong."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import venv
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from khichdi.plugins.toolkit.answer_text import Sampling
from khichdi.project.generate import run_model
from khichdi.project.run_lookup import Run, open_run

from .conftest import Workdir

pytest.importorskip("uvicorn", reason="the extra `serve` is not installed")

CLIENT = Path(__file__).parents[1] / "helpers" / "helm_client.py"
HELM = "crfm-helm==0.5.16"
HELM_IMPORTS = [
    "attrs", "cattrs==22.2.0", "colorlog", "dacite", "filelock", "mako", "numpy", "pandas",
    "pyhocon", "pyyaml", "requests", "retrying", "sqlitedict", "tqdm", "zstandard",
]  # fmt: skip
"""What HELM's HTTP client imports; its other dependencies contradict those of this package."""
TEXTS = ["Rome is", "Name a capital.", "Two and two", "word " * 9, "naïve 木"]
TOKENS = 6


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
    yield json.loads(text)["url"].removesuffix("/v1")
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out.strip(), err) == (0, "", "")


def ask(server: str, path: str, body: Any) -> httpx.Response:
    raw = body if isinstance(body, str) else json.dumps(body)
    headers = {"content-type": "application/json"}
    return httpx.post(f"{server}/{path}", content=raw, headers=headers, timeout=300)


def process(server: str, prompt: str, **more: Any) -> Any:
    body = {"prompt": prompt, "max_new_tokens": TOKENS, "temperature": 0, **more}
    found = ask(server, "process", body)
    assert found.status_code == 200, found.text
    return found.json()


def test_greedy_answers_are_those_of_generate(server: str, run: Run) -> None:
    told = run.generate(TEXTS, raw=True, max_new_tokens=TOKENS)
    assert any(told)
    for text, answer in zip(TEXTS, told, strict=True):
        found = process(server, text, temperature=1e-7)
        assert found["text"] == answer
        assert math.isclose(found["logprob"], sum(one["logprob"] for one in found["tokens"]))
        for one in found["tokens"]:
            assert one["top_logprob"] == {one["text"]: one["logprob"]}  # the likeliest was taken
            assert one["logprob"] <= 0


def test_log_probabilities_are_those_of_the_whole_text(run: Run) -> None:
    """Scored while it is generated, or as a prompt that is echoed: the same, but for rounding."""
    with run_model(run) as model:
        ids = model.encode(TEXTS[1])
        sampling = Sampling(TOKENS, temperature=1.5, seed=4)
        _, echoed = model.scored(ids, sampling, echo=True)
        _, answer = model.scored(ids, sampling)
        assert echoed[len(ids) :] == answer
        assert (echoed[0].logprob, len(echoed)) == (0, len(ids) + len(answer))
        chosen: list[int] = []
        for piece in model.stream(ids, sampling):
            chosen.append(piece.tokens)
        assert len(answer) in (chosen[-1], chosen[-1] - 1)  # the end of an answer is not counted
        longer = model.encode(TEXTS[1] + " Rome")
        same = [one == other for one, other in zip(ids, longer, strict=False)]
        common = same.index(False) if False in same else len(same)
        assert common > 3
        _, prompt = model.scored(longer, Sampling(0), echo=True)
        for one, other in zip(prompt[:common], echoed[:common], strict=True):
            assert one.text == other.text
            assert math.isclose(one.logprob, other.logprob, abs_tol=0.02)


def test_a_prompt_is_scored_without_an_answer(server: str) -> None:
    found = process(server, TEXTS[0], max_new_tokens=0, echo_prompt=True)
    tokens = ask(server, "tokenize", {"text": TEXTS[0]}).json()["tokens"]
    assert found["text"] == TEXTS[0]
    assert len(found["tokens"]) == len(tokens)
    assert found["tokens"][0]["logprob"] == 0
    assert all(one["logprob"] < 0 for one in found["tokens"][1:])
    assert process(server, TEXTS[0], max_new_tokens=0)["tokens"] == []


def test_stops_seeds_and_likeliest_tokens_hold(server: str) -> None:
    whole = process(server, TEXTS[1])["text"]
    stop = whole[2:4]
    cut = process(server, TEXTS[1], stop_sequences=[stop])
    assert cut["text"] == whole[: whole.index(stop)]
    assert len(cut["tokens"]) < TOKENS
    drawn = [process(server, TEXTS[1], temperature=2, seed=n)["text"] for n in (1, 1, 2, 3)]
    assert drawn[0] == drawn[1]
    assert len(set(drawn)) > 1
    assert process(server, TEXTS[1], temperature=2, top_k=1)["text"] == whole


def test_texts_come_back_from_their_tokens(server: str) -> None:
    for text in [*TEXTS, ""]:
        tokens = ask(server, "tokenize", {"text": text}).json()["tokens"]
        assert ask(server, "decode", {"tokens": tokens}).json()["text"] == text
    long = "word " * 300
    cut = ask(server, "tokenize", {"text": long, "max_length": 7}).json()["tokens"]
    whole = ask(server, "tokenize", {"text": long, "max_length": 7, "truncation": False}).json()
    assert cut == whole["tokens"][:7]
    assert len(whole["tokens"]) > 7


@pytest.mark.parametrize(
    ("path", "body", "status", "words"),
    [
        ("process", "{", 400, "not JSON"),
        ("process", "[" * 100_000, 400, "not JSON"),
        ("process", {}, 400, "`prompt` is missing"),
        ("process", {"prompt": "a", "tempo": 1}, 400, "unrecognized field `tempo`"),
        ("process", {"prompt": "word " * 5000}, 400, "over the model's context"),
        ("process", {"prompt": "a", "max_new_tokens": 10**6}, 400, "over the model's context"),
        ("process", {"prompt": "a", "temperature": -1}, 400, "from 0 to 100"),
        ("process", {"prompt": "a", "stop_sequences": "b"}, 400, "not a list of texts"),
        ("process", {"prompt": "a", "echo_prompt": 1}, 400, "not true or false"),
        ("process", '{"prompt": "\\ud800"}', 400, "surrogate"),
        ("tokenize", {"text": 3}, 400, "`text` is missing, or not a text"),
        ("tokenize", {"text": "a", "max_length": 0}, 400, "`max_length`"),
        ("decode", {"tokens": [1.5]}, 400, "not a list of token ids"),
        ("decode", {"tokens": [10**9]}, 400, "there is no token 1000000000"),
        ("decode", {"tokens": [-1]}, 400, "there is no token -1"),
    ],
)
def test_what_is_wrong_is_said(server: str, path: str, body: Any, status: int, words: str) -> None:
    found = ask(server, path, body)
    assert found.status_code == status, found.text
    assert words in found.json()["error"]["message"]


def test_64_at_once_are_each_answered_the_same(server: str) -> None:
    alone = [process(server, text)["text"] for text in TEXTS]
    with ThreadPoolExecutor(64) as pool:
        asked = [TEXTS[number % len(TEXTS)] for number in range(64)]
        together = list(pool.map(lambda text: process(server, text)["text"], asked))
    assert together == [alone[number % len(TEXTS)] for number in range(64)]


# ---- HELM's client --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def helm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an interpreter that has HELM: KHICHDI_HELM_PYTHON, else one installed from PyPI."""
    given = os.environ.get("KHICHDI_HELM_PYTHON")
    if given:
        return Path(given)
    folder = tmp_path_factory.mktemp("helm")
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    for packages in (["--no-deps", HELM], HELM_IMPORTS):
        done = subprocess.run(
            [python, "-m", "pip", "install", "-q", *packages], capture_output=True, text=True
        )
        if done.returncode:
            pytest.skip(f"HELM cannot be installed: {done.stderr.strip()[-200:]}")
    return python


@pytest.mark.slow
def test_helms_own_client_reads_every_answer(helm: Path, server: str, run: Run) -> None:
    told = run.generate(TEXTS, raw=True, max_new_tokens=TOKENS)
    plain = {"temperature": 0.0, "max_tokens": TOKENS}
    requests: list[dict[str, Any]] = [
        {"request": {"prompt": TEXTS[number % len(TEXTS)], "num_completions": 5, **plain}}
        for number in range(60)
    ]
    requests += [{"tokenize": {"text": text, "tokenizer": "neurips/local"}} for text in TEXTS]
    requests += [{"request": {"prompt": "word " * 5000, **plain}}]
    done = subprocess.run(
        [helm, CLIENT, server], input=json.dumps(requests), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    answers = json.loads(done.stdout.splitlines()[-1])
    for number, answer in enumerate(answers[:60]):
        assert answer["success"]
        [completion] = answer["completions"]
        assert completion["text"] == told[number % len(TEXTS)]
        assert completion["tokens"]
    assert not answers[-1]["success"]
    assert "400" in answers[-1]["error"]
    found = answers[60:-1]
    tokens = [[one["value"] for one in each["tokens"]] for each in found]
    decoded = [{"decode": {"tokens": ids, "tokenizer": "neurips/local"}} for ids in tokens]
    done = subprocess.run(
        [helm, CLIENT, server], input=json.dumps(decoded), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    texts = [one["text"] for one in json.loads(done.stdout.splitlines()[-1])]
    assert texts == TEXTS
