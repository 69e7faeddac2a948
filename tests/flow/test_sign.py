"""Signatures: by several keys, of what the run is, and worth nothing once a bit is changed."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from forgery import rewrite
from signing_keys import write_key

from khichdi.schema.attestation import PAYLOAD, PROVENANCE, STATEMENT

from .conftest import Workdir
from .test_bundle import recipe

pytest.importorskip("securesystemslib", reason="the extra `proof` is not installed")
pytest.importorskip("cryptography", reason="the extra `proof` is not installed")

Ran = tuple[Workdir, Any]


def run_of(own_run: Ran) -> Path:
    return own_run[0].folder / "store" / "runs" / Path(own_run[1]["run"]).name


def test_several_sign_and_each_is_verified_in_the_run_and_in_its_bundle(
    own_run: Ran, tmp_path: Path
) -> None:
    workdir, run = own_run[0], run_of(own_run).name
    one, other = write_key(tmp_path, "one"), write_key(tmp_path, "other", curve=True)
    stranger = write_key(tmp_path, "stranger")
    recipe(workdir, "sign", run, "--key", one[0])
    recipe(workdir, "sign", run, "--key", other[0])
    recipe(workdir, "bundle", run, "-o", str(tmp_path / "b"))
    for what, where in ((run, workdir), (str(tmp_path / "b"), Workdir(tmp_path))):
        found = recipe(where, "verify", what, "--key", one[1], "--key", other[1])
        assert found["valid"]
        assert len(found["keys"]) == 2
        recipe(where, "verify", what, "--key", one[1], "--key", stranger[1], status=1)
        options = ["--key", one[1], "--key", stranger[1], "--threshold", "1"]
        assert len(recipe(where, "verify", what, *options)["keys"]) == 1


def test_without_a_key_the_signers_are_listed_and_nothing_is_verified(
    own_run: Ran, tmp_path: Path
) -> None:
    workdir, run = own_run[0], run_of(own_run).name
    assert "is not signed" in recipe(workdir, "verify", run, status=2)["error"]["message"]
    made = [
        recipe(workdir, "sign", run, "--key", write_key(tmp_path, name)[0])["key"]
        for name in ("one", "other")
    ]
    found = recipe(workdir, "verify", run, status=1)
    assert found == {"valid": None, "signers": sorted(made)}
    assert (
        "without a key"
        in recipe(workdir, "verify", run, "--threshold", "1", status=2)["error"]["message"]
    )


def test_the_statement_is_valid_by_the_in_toto_project_s_own_package(
    own_run: Ran, tmp_path: Path
) -> None:
    statements = pytest.importorskip("in_toto_attestation.v1.statement")
    provenance = pytest.importorskip("in_toto_attestation.predicates.provenance.v1.provenance_pb2")
    from google.protobuf.json_format import Parse, ParseDict

    key = write_key(tmp_path, "one")
    recipe(own_run[0], "sign", run_of(own_run).name, "--key", key[0])
    envelope = json.loads((run_of(own_run) / "attestation.json").read_text())
    assert envelope["payloadType"] == PAYLOAD
    payload = base64.b64decode(envelope["payload"])
    parsed = Parse(payload, statements.spb.Statement())
    statements.Statement.copy_from_pb(parsed).validate()
    value = json.loads(payload)
    assert (value["_type"], value["predicateType"]) == (STATEMENT, PROVENANCE)
    ParseDict(value["predicate"], provenance.Provenance())  # refuses a field that is not in it
    names = {one["name"] for one in value["subject"]}
    assert "train#adapter/adapter_model.safetensors" in names
    given = {one["name"] for one in value["predicate"]["buildDefinition"]["resolvedDependencies"]}
    assert {"base/model.safetensors", "data/capitals/source/capitals.jsonl", "torch"} <= given


def flip(path: Path, needle: bytes) -> None:
    raw = bytearray(path.read_bytes())
    raw[raw.index(needle) + len(needle)] ^= 1
    path.write_bytes(raw)


CHANGES = {
    "a note in the record": lambda run: rewrite(
        run, "record.json", lambda record: record.update(started="2020-01-01T00:00:00+00:00")
    ),
    "the plan": lambda run: rewrite(run, "plan.json", lambda plan: plan.update(language=0)),
    "the recipe": lambda run: flip(run / "recipe" / "pico.yaml", b"# a comm"),
    "the adapter": lambda run: flip(run / "adapter" / "adapter_config.json", b'"r": '),
    "the payload": lambda run: flip(run / "attestation.json", b'"payload": "eyJ'),
    "the signature": lambda run: flip(run / "attestation.json", b'"sig": "'),
}


@pytest.mark.parametrize("what", CHANGES)
def test_what_was_changed_since_is_not_valid(own_run: Ran, tmp_path: Path, what: str) -> None:
    run, key = run_of(own_run), write_key(tmp_path, "one")
    recipe(own_run[0], "sign", run.name, "--key", key[0])
    CHANGES[what](run)
    recipe(own_run[0], "verify", run.name, "--key", key[1], status=1)


def test_every_flipped_bit_of_an_attestation_is_seen(own_run: Ran, tmp_path: Path) -> None:
    from khichdi.runtime.audit.audited_run import open_claim
    from khichdi.runtime.signing.signing import verify
    from khichdi.schema.errors import KhichdiError

    run, key = run_of(own_run), write_key(tmp_path, "one")
    recipe(own_run[0], "sign", run.name, "--key", key[0])
    claim = open_claim(run, "run", (own_run[0].folder / "store",))
    path = run / "attestation.json"
    honest = path.read_bytes()
    payload = honest.index(b'"payload"')
    ends = [*range(60), *range(payload, payload + 80), *range(len(honest) - 900, len(honest))]
    for place in [*ends, *range(0, len(honest), 211)]:
        for bit in range(8):
            raw = bytearray(honest)
            raw[place] ^= 1 << bit
            path.write_bytes(raw)
            with pytest.raises(KhichdiError):
                verify(claim, [Path(key[1])])
    path.write_bytes(honest)
    assert verify(claim, [Path(key[1])])


def test_what_does_not_hold_is_not_signed(own_run: Ran, tmp_path: Path) -> None:
    run, key = run_of(own_run), write_key(tmp_path, "one")
    rewrite(run, "record.json", lambda record: record["metrics"].update(exact_match=1.5))
    found = recipe(own_run[0], "sign", run.name, "--key", key[0], status=2)
    assert "metrics: metric exact_match" in found["error"]["message"]
    assert not (run / "attestation.json").exists()


def test_what_others_signed_is_not_signed_over_something_else(own_run: Ran, tmp_path: Path) -> None:
    run, key = run_of(own_run), write_key(tmp_path, "one")
    recipe(own_run[0], "sign", run.name, "--key", key[0])
    rewrite(run, "record.json", lambda record: record.update(seconds=1.0))
    found = recipe(own_run[0], "sign", run.name, "--key", key[0], status=2)
    assert "signed already" in found["error"]["message"]


@pytest.mark.parametrize("content", ["", "no key", "-----BEGIN PRIVATE KEY-----\nAAAA\n"])
def test_what_is_no_key_is_refused_and_not_shown(
    own_run: Ran, tmp_path: Path, content: str
) -> None:
    (tmp_path / "key").write_text(content)
    for command in ("sign", "verify"):
        found = recipe(own_run[0], command, "latest", "--key", str(tmp_path / "key"), status=2)
        assert "cannot be read as a" in found["error"]["message"]
        assert "AAAA" not in found["error"]["message"]


def test_an_unsigned_run_is_not_verified(shared_run: Ran, tmp_path: Path) -> None:
    key = write_key(tmp_path, "one")
    found = recipe(shared_run[0], "verify", "latest", "--key", key[1], status=2)
    assert "not signed" in found["error"]["message"]
