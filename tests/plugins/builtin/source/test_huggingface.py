from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys

import pytest
from pydantic import ValidationError

from khichdi.schema.errors import FetchError

TOKEN = "hf_" + "a" * 34
WEIGHTS = bytes(range(256)) * 4096
MODEL = {
    ".gitattributes": b"*.safetensors filter=lfs",
    "README.md": b"# tiny",
    "chat_template.jinja": b"{{ messages }}",
    "config.json": b'{"model_type": "mistral"}',
    "model.safetensors": WEIGHTS,
    "pytorch_model.bin": b"pickle",
    "tokenizer.json": b"{}",
    "tokenizer_config.json": b"{}",
    "original/params.json": b"{}",
}


def test_a_branch_is_pinned_to_its_commit_and_files_to_their_bytes(hub, make):
    commit = hub.add("acme/tiny").commit(MODEL)

    pin = make("huggingface", repo="acme/tiny").pin(None)

    assert pin.revision == commit
    names = [
        "chat_template.jinja", "config.json", "model.safetensors", "tokenizer.json",
        "tokenizer_config.json",
    ]  # fmt: skip
    assert [file.path for file in pin.files] == names
    for file in pin.files:
        data = MODEL[file.path]
        assert file.size == len(data)
        assert file.sha256 == "sha256:" + hashlib.sha256(data).hexdigest()


def test_weights_are_not_downloaded_to_be_pinned(hub, make):
    hub.add("acme/tiny").commit(MODEL)

    make("huggingface", repo="acme/tiny").pin(None)

    assert any("config.json" in line for line in hub.log)
    assert not any("model.safetensors" in line or "cdn" in line for line in hub.log)


def test_a_branch_that_moved_still_gives_the_pinned_bytes(hub, make, fetch, matches):
    repo = hub.add("acme/tiny")
    repo.commit(MODEL)
    source = make("huggingface", repo="acme/tiny", include=["*.json", "*.safetensors"])
    pin = source.pin(None)
    moved = repo.commit({**MODEL, "config.json": b"{}", "model.safetensors": WEIGHTS[::-1]})

    found = fetch(source, pin)

    assert found["config.json"] == MODEL["config.json"]
    assert found["model.safetensors"] == WEIGHTS
    assert matches(pin)
    assert source.pin(None).revision == moved


@pytest.mark.parametrize("path", ["config.json", "model.safetensors"])
def test_other_bytes_than_the_pinned_ones_do_not_match(hub, make, fetch, matches, path):
    repo = hub.add("acme/tiny")
    repo.commit(MODEL)
    source = make("huggingface", repo="acme/tiny")
    pin = source.pin(None)
    data = bytearray(MODEL[path])
    data[len(data) // 2] ^= 1
    repo.served[path] = bytes(data)

    fetch(source, pin)

    assert not matches(pin)


def test_a_file_cut_short_on_the_way_is_an_error(hub, make, fetch):
    repo = hub.add("acme/tiny")
    repo.commit(MODEL)
    source = make("huggingface", repo="acme/tiny")
    pin = source.pin(None)
    repo.served["model.safetensors"] = WEIGHTS[:-10]

    with pytest.raises(FetchError):
        fetch(source, pin)


def test_a_tag_a_commit_and_patterns_choose_what_is_brought(hub, make):
    repo = hub.add("acme/tiny")
    first = repo.commit(MODEL, branch="v1")
    repo.commit({"config.json": b"{}"})
    params = {"include": ["**/*.json"], "exclude": ["tokenizer*"]}

    for revision in ("v1", first):
        pin = make("huggingface", repo="acme/tiny", revision=revision, **params).pin(None)
        assert pin.revision == first
        assert [file.path for file in pin.files] == ["config.json", "original/params.json"]


def test_a_model_without_safetensors_says_what_there_is(hub, make):
    hub.add("acme/old").commit({"pytorch_model.bin": b"x", "config.json": b"{}"})
    with pytest.raises(FetchError, match="no safetensors weights") as caught:
        make("huggingface", repo="acme/old").pin(None)
    assert "pytorch_model.bin" in caught.value.hint


DATA = {
    "README.md": b"# lima",
    ".hidden.json": b"{}",
    "dataset_infos.json": b"{}",
    "train.jsonl": b'{"conversations": ["a", "b"]}\n',
    "test.jsonl": b'{"conversations": ["c"]}\n',
    "script.py": b"raise SystemExit",
}


def test_every_data_file_of_a_data_set_is_brought_by_default(hub, make, fetch, matches):
    hub.add("acme/lima", "datasets").commit(DATA)
    source = make("huggingface", repo="acme/lima", repo_type="dataset")

    pin = source.pin(None)

    assert fetch(source, pin) == {name: DATA[name] for name in ("test.jsonl", "train.jsonl")}
    assert matches(pin)


# ---- what goes wrong ------------------------------------------------------------------------


def test_a_gated_repository_says_where_to_ask_and_opens_to_the_token(hub, make, monkeypatch):
    hub.add("acme/gated", gated=True).commit(MODEL)
    source = make("huggingface", repo="acme/gated")

    for token in (None, "hf_" + "b" * 34):
        if token:
            monkeypatch.setenv("HF_TOKEN", token)
        with pytest.raises(FetchError, match="is gated") as caught:
            source.pin(None)
        assert "hf auth login" in caught.value.hint
        assert "bbbb" not in str(caught.value)

    monkeypatch.setenv("HF_TOKEN", TOKEN)
    assert source.pin(None).files


def test_a_repository_that_is_not_there_says_so(hub, make):
    with pytest.raises(FetchError, match=r"acme/none \(model\) is not on the hub") as caught:
        make("huggingface", repo="acme/none").pin(None)
    assert "repo_type: dataset" in caught.value.hint


def test_a_revision_that_is_not_there_says_so(hub, make):
    hub.add("acme/tiny").commit(MODEL)
    with pytest.raises(FetchError, match="has no revision `v9`"):
        make("huggingface", repo="acme/tiny", revision="v9").pin(None)


def test_a_pinned_commit_that_is_gone_says_so(hub, make, fetch):
    repo = hub.add("acme/tiny")
    source = make("huggingface", repo="acme/tiny")
    commit = repo.commit(MODEL)
    pin = source.pin(None)
    del repo.commits[commit]
    with pytest.raises(FetchError, match="acme/tiny"):
        fetch(source, pin)


def test_a_pinned_file_that_is_gone_says_so(hub, make, fetch):
    repo = hub.add("acme/tiny")
    source = make("huggingface", repo="acme/tiny")
    commit = repo.commit(MODEL)
    pin = source.pin(None)
    del repo.commits[commit]["config.json"]
    with pytest.raises(FetchError, match="pinned file is gone"):
        fetch(source, pin)


def test_a_signed_address_is_never_shown(hub, make, fetch):
    repo = hub.add("acme/tiny")
    repo.commit(MODEL)
    source = make("huggingface", repo="acme/tiny", include=["*.safetensors"])
    pin = source.pin(None)
    repo.expired = True

    with pytest.raises(FetchError, match="403") as caught:
        fetch(source, pin)

    assert "secret-of-the-address" not in str(caught.value)


def test_no_server_is_an_error_that_says_what_to_look_at(make, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    with pytest.raises(FetchError) as caught:
        make("huggingface", repo="acme/tiny").pin(None)
    assert "HF_ENDPOINT" in caught.value.hint
    assert "`--mirror DIR`" in caught.value.hint
    assert "`recipe rehearse`" in caught.value.hint
    assert TOKEN not in str(caught.value)


@pytest.mark.parametrize(
    "params",
    [
        {"repo": "a/b/c"},
        {"repo": "https://huggingface.co/a/b"},
        {"repo": "a/b", "repo_type": "model", "split": "train"},
        {"repo": "a/b", "include": ["../x"]},
        {"repo": "a/b", "repo_type": "dataset", "split": "train[:10%]"},
    ],
)
def test_parameters_that_make_no_sense_are_refused(make, params):
    with pytest.raises(ValidationError):
        make("huggingface", **params)


def test_what_has_a_split_is_a_data_set(make):
    assert make("huggingface", repo="a/b", split="train").params.holds == "dataset"
    assert make("huggingface", repo="a/b").params.holds == "model"


# ---- configurations and splits --------------------------------------------------------------

CARD = b"""---
configs:
- config_name: main
  data_files:
  - {split: train, path: main/train-*.jsonl}
  - {split: test, path: main/test.jsonl}
- config_name: socratic
  data_files:
  - {split: train, path: socratic/*.jsonl}
---
# gsm8k
"""
GSM8K = {
    "README.md": CARD,
    "main/train-0.jsonl": b'{"question": "1?", "answer": "1"}\n',
    "main/train-1.jsonl": b'{"question": "2?", "answer": "2"}\n',
    "main/test.jsonl": b'{"question": "3?", "answer": "3"}\n',
    "socratic/train.jsonl": b'{"question": "4?", "answer": "4"}\n',
}


def pin_elsewhere(hub, tmp_path, **params):
    """Pin in a process of its own: the `datasets` library reads HF_ENDPOINT when it is imported."""
    code = (
        "import json, sys; from pathlib import Path\n"
        "from khichdi.plugins.registry import load_registry\n"
        "from khichdi.schema.errors import FetchError\n"
        "source = load_registry().create('source', 'huggingface', json.loads(sys.argv[1]))\n"
        "try:\n"
        "    pin = source.pin(Path())\n"
        "    print(json.dumps([pin.revision, [file.path for file in pin.files]]))\n"
        "except FetchError as error:\n"
        "    print(json.dumps([None, str(error)]))\n"
    )
    env = {**os.environ, "HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "home")}
    command = [sys.executable, "-c", code, json.dumps(params)]
    done = subprocess.run(command, capture_output=True, text=True, env=env, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        (
            {"config": "main", "split": "train"},
            ["main/train-0.jsonl", "main/train-1.jsonl"],
        ),
        ({"config": "main", "split": "train", "exclude": ["**/*-1*"]}, ["main/train-0.jsonl"]),
        ({"config": "socratic"}, ["socratic/train.jsonl"]),
        ({"config": "main", "split": "dev"}, "has no split `dev`\n  it has: test, train"),
        ({"config": "maths", "split": "train"}, "maths"),
        ({"split": "train"}, "Config name is missing"),
    ],
)
def test_the_card_says_which_files_a_split_has(hub, tmp_path, params, expected):
    commit = hub.add("acme/gsm8k", "datasets").commit(GSM8K)

    revision, found = pin_elsewhere(hub, tmp_path, repo="acme/gsm8k", **params)

    if isinstance(expected, list):
        assert (revision, found) == (commit, expected)
    else:
        assert revision is None
        assert expected in found


def test_file_names_say_it_where_the_card_does_not(hub, tmp_path):
    commit = hub.add("acme/lima", "datasets").commit(DATA)
    params = {"repo": "acme/lima", "split": "train"}
    assert pin_elsewhere(hub, tmp_path, **params) == [commit, ["train.jsonl"]]
