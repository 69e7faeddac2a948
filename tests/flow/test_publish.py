"""A run goes to the hub and comes back: the real client against a hub on the loopback."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from forgery import rewrite
from hub_user import User
from signing_keys import write_key

from khichdi.schema.attestation import PROVENANCE, STATEMENT
from khichdi.schema.digest import file_sha256
from tests.hub import TOKEN, Fault, Hub, Repo

from .conftest import Workdir
from .test_sign import run_of

constants = pytest.importorskip("huggingface_hub.constants", reason="no extra `data`")

Ran = tuple[Workdir, Any]
TO = "hf://birbal/pico"
BUNDLE, LINEAGE = "khichdi/run.bundle", "khichdi/lineage.json"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with Hub() as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        yield hub


@pytest.fixture
def publisher(own_run: Ran, hub: Hub) -> User:
    """Return the owner of a finished run, with a login of the hub."""
    folder = own_run[0].folder
    return User(folder, folder / "store", TOKEN)


@pytest.fixture
def stranger(hub: Hub, tmp_path: Path) -> User:
    """Return somebody who has an empty folder, and the hub."""
    (tmp_path / "elsewhere").mkdir()
    return User(tmp_path / "elsewhere", tmp_path / "elsewhere" / "store")


def publish(user: User, *words: str, status: int = 0) -> Any:
    return user.json("publish", "latest", "--to", TO, *words, status=status)


def main_of(hub: Hub) -> tuple[Repo, dict[str, bytes]]:
    repo = hub.repos["models", "birbal/pico"]
    return repo, dict(repo.commits[repo.branches["main"]])


def test_a_stranger_audits_what_was_published_from_the_hub_alone(
    publisher: User, stranger: User, hub: Hub, own_run: Ran
) -> None:
    status, out, err = publisher.call("publish", "latest", "--to", TO)
    assert status == 0, err
    repo, files = main_of(hub)
    commit = repo.branches["main"]
    assert out.splitlines()[0] == f"published {TO}@{commit}"
    assert f"next: recipe audit {TO}@{commit}" in out
    for path in sorted(set(files) - {".gitattributes"}):
        assert path in err, "every file is listed before it is uploaded"
    found = stranger.json("audit", f"{TO}@{commit}")
    assert found["verdict"] != "diverged"
    levels = {level["level"]: level for level in found["levels"]}
    assert (levels["adapter"]["verdict"], levels["adapter"]["basis"]) == ("identical", "hashed")
    local = {path.name for path in (run_of(own_run) / "adapter").iterdir()}
    assert {path for path in files if "/" not in path} == local | {".gitattributes"}


def test_publishing_again_changes_nothing_and_another_run_replaces_it(
    publisher: User, hub: Hub
) -> None:
    first = publish(publisher)
    repo, files = main_of(hub)
    commits = len(repo.commits)
    assert publish(publisher)["revision"] == first["revision"]
    assert len(repo.commits) == commits
    repo.commit({**files, "pytorch_model.bin": b"of somebody"})
    refused = publish(publisher, status=2)
    assert "pytorch_model.bin" in refused["error"]["message"]
    publish(publisher, "--replace")
    assert "pytorch_model.bin" not in main_of(hub)[1]


def test_dry_run_lists_all_and_asks_the_hub_nothing(publisher: User, hub: Hub) -> None:
    listed = publish(publisher, "--dry-run")
    assert not listed["uploaded"]
    assert hub.log == []
    done = publish(publisher, "--branch", "candidate", "--private")
    assert done["files"] == listed["files"]
    repo = hub.repos["models", "birbal/pico"]
    assert repo.private
    assert repo.branches["candidate"] == done["revision"] != repo.branches["main"]
    for one in done["files"]:
        data = repo.commits[done["revision"]][one["path"]]
        assert len(data) == one["size"]


def test_one_statement_joins_base_data_recipe_and_the_files_as_published(
    publisher: User, hub: Hub, own_run: Ran, tmp_path: Path
) -> None:
    publish(publisher)
    files = main_of(hub)[1]
    value = json.loads(files[LINEAGE])
    assert (value["_type"], value["predicateType"]) == (STATEMENT, PROVENANCE)
    definition = value["predicate"]["buildDefinition"]
    assert definition["externalParameters"]["recipeHash"] == own_run[1]["recipe_hash"]
    parents = {one["name"]: one for one in definition["resolvedDependencies"]}
    roles = {name: one["annotations"]["role"] for name, one in parents.items()}
    assert roles == {
        "base": "base", "data/capitals/source": "data", "data/colours/source": "data"
    }  # fmt: skip
    record = json.loads((run_of(own_run) / "record.json").read_text())
    for step in record["steps"]:
        if step["kind"] == "source":
            manifest = step["result"]["outputs"]["files"]["manifest"]
            assert parents[step["name"]]["digest"] == {"sha256": manifest.split(":")[1]}
    for subject in value["subject"]:
        (tmp_path / "file").write_bytes(files[subject["name"]])
        assert file_sha256(tmp_path / "file") == f"sha256:{subject['digest']['sha256']}"
    assert {one["name"] for one in value["subject"]} == {
        path for path in files if "/" not in path and path != ".gitattributes"
    }
    statements = pytest.importorskip("in_toto_attestation.v1.statement")
    from google.protobuf.json_format import Parse

    parsed = Parse(files[LINEAGE], statements.spb.Statement())
    statements.Statement.copy_from_pb(parsed).validate()


def flipped(data: bytes) -> bytes:
    return data[:-3] + bytes([data[-3] ^ 1]) + data[-2:]


TAMPERED = {
    "adapter_model.safetensors": "adapter: step train, copy adapter/adapter_model.safetensors",
    "README.md": "adapter: step train, copy adapter/README.md",
    "chat_template.jinja": "adapter: step train, copy adapter/chat_template.jinja",
    "adapter_config.json": "adapter: step train, copy adapter/adapter_config.json",
    "tokenizer.json": "adapter: step train, copy adapter/tokenizer.json",
}


@pytest.mark.parametrize("path", TAMPERED)
def test_a_changed_file_of_the_adapter_is_named(
    publisher: User, stranger: User, hub: Hub, path: str
) -> None:
    publish(publisher)
    repo, files = main_of(hub)
    lineage = json.loads(files[LINEAGE])
    forged = {**files, path: flipped(files[path])}
    repo.commit(forged)
    found = stranger.json("audit", TO, status=1)
    assert LINEAGE in found["error"]["message"], "the statement does not follow from the files"
    # A forger who makes the statement fit is found by the record.
    for subject in lineage["subject"]:
        if subject["name"] == path:
            subject["digest"]["sha256"] = hashlib.sha256(forged[path]).hexdigest()
    text = json.dumps(lineage, sort_keys=True, separators=(",", ":")) + "\n"
    repo.commit({**forged, LINEAGE: text.encode()})
    assert stranger.json("audit", TO, status=1)["where"] == TAMPERED[path]


def test_files_that_are_missing_or_unknown_are_named(
    publisher: User, stranger: User, hub: Hub
) -> None:
    publish(publisher)
    repo, files = main_of(hub)
    for extra in ("pytorch_model.bin", "khichdi/more.json", "modeling_pico.py"):
        repo.commit({**files, extra: b"import os"})
        assert extra in stranger.json("audit", TO, status=1)["error"]["message"]
        assert not [line for line in hub.log if line.endswith(extra)], "it is not even downloaded"
    for gone in (BUNDLE, LINEAGE):
        repo.commit({path: data for path, data in files.items() if path != gone})
        assert gone in stranger.json("audit", TO, status=1)["error"]["message"]
    repo.commit({path: data for path, data in files.items() if path != "tokenizer.json"})
    assert "error" in stranger.json("audit", TO, status=1)


def test_what_the_hub_writes_itself_is_accepted_and_nothing_more(
    publisher: User, stranger: User, hub: Hub
) -> None:
    publish(publisher)
    repo, files = main_of(hub)
    files[".gitattributes"] += b"*.bundle filter=lfs diff=lfs merge=lfs -text\n# a comment\n\n"
    repo.commit(files)
    assert stranger.json("audit", TO, "--level", "recipe")["verdict"] != "diverged"
    repo.commit({**files, ".gitattributes": b"*.json filter=evil\n"})
    assert ".gitattributes, line 1" in stranger.json("audit", TO, status=1)["error"]["message"]


def test_a_signed_run_is_verified_from_the_hub(
    publisher: User, stranger: User, hub: Hub, tmp_path: Path
) -> None:
    pytest.importorskip("securesystemslib", reason="the extra `proof` is not installed")
    key, other = write_key(tmp_path, "key"), write_key(tmp_path, "other")
    publisher.json("sign", "latest", "--key", key[0])
    publish(publisher)
    repo, files = main_of(hub)
    assert "khichdi/attestation.json" in files
    assert stranger.json("verify", TO, "--key", key[1])["valid"]
    stranger.json("verify", TO, "--key", other[1], status=1)
    repo.commit({**files, "khichdi/attestation.json": b"{}"})
    message = stranger.json("verify", TO, "--key", key[1], status=1)["error"]["message"]
    assert "attestation.json is not the one of its bundle" in message
    for words in (("sign", TO, "--key", key[0]), ("bundle", TO)):
        assert "error" in stranger.json(*words, status=2)


def test_a_hub_that_sends_other_bytes_than_it_lists_is_found(
    publisher: User, stranger: User, hub: Hub
) -> None:
    publish(publisher)
    repo, files = main_of(hub)
    for path in ("adapter_model.safetensors", "README.md"):
        repo.served = {path: flipped(files[path])}
        message = stranger.json("audit", TO, status=1)["error"]["message"]
        assert f"{path} has other bytes than the hub lists" in message
        repo.served = {path: files[path] + b"more"}
        assert "more than" in stranger.json("audit", TO, status=3)["error"]["message"]


@pytest.mark.parametrize(
    "fault",
    [
        Fault("PUT", "/upload/"),
        Fault("PUT", "/upload/", 500),
        Fault("POST", "/commit/"),
        Fault("POST", "/commit/", 503),
        Fault("POST", "/commit/", after=True),
        Fault("POST", "/preupload/", 502),
    ],
    ids=lambda fault: f"{fault.part}{fault.status or 'cut'}{'-after' * fault.after}",
)
def test_an_upload_that_is_cut_is_tried_again(publisher: User, hub: Hub, fault: Fault) -> None:
    hub.faults.append(Fault(fault.method, fault.part, fault.status, fault.after))
    done = publish(publisher)
    assert hub.faults == []
    repo, files = main_of(hub)
    assert done["revision"] == repo.branches["main"]
    assert {one["path"] for one in done["files"]} == set(files) - {".gitattributes"}


def test_a_commit_that_comes_in_between_is_not_overwritten(publisher: User, hub: Hub) -> None:
    def intrude() -> None:
        repo, files = main_of(hub)
        repo.commit({**files, "notes.txt": b"of a colleague"})

    hub.faults.append(Fault("POST", "/commit/", 412, before=intrude))
    assert "notes.txt" in publish(publisher, status=2)["error"]["message"]
    assert main_of(hub)[1]["notes.txt"] == b"of a colleague"


def test_refusals_say_what_to_do(publisher: User, stranger: User, hub: Hub) -> None:
    publisher.token = "hf_" + "b" * 34
    error = publish(publisher, status=3)["error"]
    assert "refuses to write (401)" in error["message"]
    assert "hf auth login" in error["hint"]
    publisher.token = TOKEN
    words = ("publish", "latest", "--to", "hf://others/pico")
    assert "(403)" in publisher.json(*words, status=3)["error"]["message"]
    publish(publisher)
    assert "public" in publish(publisher, "--private", status=2)["error"]["message"]
    hub.repos["models", "birbal/pico"].gated = True
    assert "is gated" in stranger.json("audit", TO, status=3)["error"]["message"]
    stranger.token = TOKEN
    assert stranger.json("audit", TO, "--level", "recipe")["verdict"] != "diverged"
    assert "no revision" in stranger.json("audit", f"{TO}@gone", status=3)["error"]["message"]
    for address in ("hf://pico", "hf://datasets/birbal/pico", "hf://birbal/pico@", "hf://a/b/c"):
        message = stranger.json("audit", address, status=2)["error"]["message"]
        assert "is not the address of a model repository" in message


def test_a_run_that_does_not_hold_or_would_leak_is_not_published(
    publisher: User, hub: Hub, own_run: Ran
) -> None:
    folder = run_of(own_run)
    card = folder / "adapter" / "README.md"
    kept = card.read_text()
    card.write_text(kept + "trained in /home/birbal/secret\n")
    assert "does not hold" in publish(publisher, status=2)["error"]["message"]

    def fit(record: Any) -> None:
        record["adapter_texts"]["README.md"] = file_sha256(card)

    rewrite(folder, "record.json", fit)
    message = publish(publisher, status=2)["error"]["message"]
    assert "a folder of a person must not leave this machine" in message
    assert hub.log == []
    assert publish(publisher, "--allow", "/home/birbal")["uploaded"]


def test_an_adapter_config_names_no_folder_of_this_machine(publisher: User, hub: Hub) -> None:
    publish(publisher)
    for path, data in main_of(hub)[1].items():
        assert str(publisher.folder).encode() not in data, path


@pytest.mark.heavy
def test_a_base_of_the_hub_is_named_and_the_signature_on_the_folder_holds(
    workdir: Workdir, hub: Hub, tmp_path: Path
) -> None:
    """OpenSSF's own tool verifies what was downloaded, and the audit knows the base."""
    for name in ("model_signing", "OpenSSL"):
        pytest.importorskip(name, reason="the extra `model-signing` is not installed")
    base = hub.add("pico/base")
    revision = base.commit(
        {path.name: path.read_bytes() for path in (workdir.folder / "base").iterdir()}
    )
    workdir.edit(
        '{use: files, folder: base, include: ["*"]}', "{use: huggingface, repo: pico/base}"
    )
    owner = User(workdir.folder, workdir.folder / "store", TOKEN)
    owner.json("run", "pico.yaml")
    key = write_key(tmp_path, "key", curve=True)
    owner.json("sign", "latest", "--key", key[0], "--model-signing")
    publish(owner)
    files = main_of(hub)[1]
    config = json.loads(files["adapter_config.json"])
    assert (config["base_model_name_or_path"], config["revision"]) == ("pico/base", revision)
    parents = json.loads(files[LINEAGE])["predicate"]["buildDefinition"]["resolvedDependencies"]
    assert f"pkg:huggingface/pico/base@{revision}" in [
        one["uri"] for one in parents if "uri" in one
    ]
    down = tmp_path / "downloaded"
    for path, data in files.items():
        (down / path).parent.mkdir(parents=True, exist_ok=True)
        (down / path).write_bytes(data)
    command = [sys.executable, "-m", "model_signing", "verify", "key", str(down)]
    command += ["--signature", str(down / "khichdi" / "adapter.sig"), "--public_key", key[1]]
    command += ["--ignore-paths", str(down / "khichdi")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (down / "README.md").write_text("other")
    assert subprocess.run(command, capture_output=True, check=False).returncode != 0
    (tmp_path / "away").mkdir()
    found = User(tmp_path / "away", tmp_path / "away" / "store").json("audit", TO)
    assert found["verdict"] != "diverged"
