"""The signed result of an audit: beside the trainer's signature, of this very run, and no other."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from forgery import rewrite
from signing_keys import write_key

from khichdi.schema.attestation import STATEMENT, TEST_RESULT
from khichdi.schema.audit import LEVELS

from .conftest import Workdir
from .test_bundle import recipe
from .test_sign import run_of

pytest.importorskip("securesystemslib", reason="the extra `proof` is not installed")
pytest.importorskip("cryptography", reason="the extra `proof` is not installed")

Ran = tuple[Workdir, Any]


def stated(where: Workdir, run: str, path: Path, *options: str, status: int = 0) -> Any:
    recipe(where, "audit", run, "--statement", str(path), *options, status=status)
    return json.loads(path.read_text())


def test_trainer_and_auditor_sign_the_audit_of_a_bundle_each_with_a_key_of_their_own(
    own_run: Ran, tmp_path: Path
) -> None:
    run, report = run_of(own_run).name, tmp_path / "audit.json"
    trainer, auditor = write_key(tmp_path, "trainer"), write_key(tmp_path, "auditor", curve=True)
    recipe(own_run[0], "sign", run, "--key", trainer[0])
    recipe(own_run[0], "bundle", run, "-o", str(tmp_path / "b"))
    elsewhere, bundle, keys = Workdir(tmp_path), str(tmp_path / "b"), []
    stated(elsewhere, bundle, report)
    for key in (auditor, trainer):
        recipe(elsewhere, "sign", bundle, "--statement", str(report), "--key", key[0])
        keys += ["--key", key[1]]
    for what, where in ((bundle, elsewhere), (run, own_run[0])):
        found = recipe(where, "verify", what, "--statement", str(report), *keys)
        assert (len(found["keys"]), found["result"]) == (2, "WARNED")
        assert "adapter: identical (hashed)" in found["tests"]["passed"]
        assert "data: unverifiable" in found["tests"]["warned"]
        assert recipe(where, "verify", what, "--key", trainer[1])["valid"]
    stranger = write_key(tmp_path, "stranger")
    options = ["--statement", str(report), "--key", stranger[1]]
    recipe(elsewhere, "verify", bundle, *options, status=1)


def test_every_level_is_in_the_statement_and_only_all_of_them_pass(
    own_run: Ran, tmp_path: Path
) -> None:
    run = run_of(own_run).name
    whole = stated(own_run[0], run, tmp_path / "whole")["predicate"]
    named = [*whole["passedTests"], *whole["warnedTests"], *whole["failedTests"]]
    assert {test.split(":")[0] for test in named} == set(LEVELS)
    assert (whole["result"], whole["failedTests"]) == ("WARNED", [])  # nothing was executed
    part = stated(own_run[0], run, tmp_path / "part", "--level", "plan")["predicate"]
    assert part["result"] == "WARNED"
    assert "adapter: not run" in part["warnedTests"]


def test_what_diverged_is_told_with_its_place_and_verified_as_failed(
    own_run: Ran, tmp_path: Path
) -> None:
    run, key, report = run_of(own_run), write_key(tmp_path, "auditor"), tmp_path / "audit.json"
    rewrite(run, "record.json", lambda record: record["metrics"].update(exact_match=1.5))
    found = stated(own_run[0], run.name, report, status=1)
    assert found["predicate"]["result"] == "FAILED"
    assert found["predicate"]["failedTests"] == ["metrics: diverged: metric exact_match"]
    recipe(own_run[0], "sign", run.name, "--statement", str(report), "--key", key[0])
    options = ["--statement", str(report), "--key", key[1]]
    assert recipe(own_run[0], "verify", run.name, *options, status=1)["result"] == "FAILED"


def test_it_is_valid_by_the_in_toto_project_s_own_package(own_run: Ran, tmp_path: Path) -> None:
    statements = pytest.importorskip("in_toto_attestation.v1.statement")
    results = pytest.importorskip("in_toto_attestation.predicates.test_result.v0.test_result_pb2")
    from google.protobuf.json_format import Parse, ParseDict

    run, report, key = run_of(own_run).name, tmp_path / "a.json", write_key(tmp_path, "auditor")
    unsigned = stated(own_run[0], run, report)
    recipe(own_run[0], "sign", run, "--statement", str(report), "--key", key[0])
    payload = base64.b64decode(json.loads(report.read_text())["payload"])
    statements.Statement.copy_from_pb(Parse(payload, statements.spb.Statement())).validate()
    value = json.loads(payload)
    assert value == unsigned
    assert (value["_type"], value["predicateType"]) == (STATEMENT, TEST_RESULT)
    ParseDict(value["predicate"], results.TestResult())  # refuses a field that is not in it
    names = {one["name"] for one in value["predicate"]["configuration"]}
    assert names == {"recipe hash", "lock", "plan.json", "record.json", "khichdi"}
    assert "train#adapter/adapter_model.safetensors" in {one["name"] for one in value["subject"]}


CHANGES = {
    "the record": lambda run, _: rewrite(run, "record.json", lambda one: one.update(seconds=1.0)),
    "the result": lambda _, report: report.write_text(
        report.read_text().replace('"WARNED"', '"PASSED"')
    ),
    "the subject": lambda _, report: report.write_text(
        report.read_text().replace('"train#adapter/', '"train#adapt/')
    ),
    "everything": lambda _, report: report.write_text("{}"),
    "to no text": lambda _, report: report.write_bytes(b"\xff["),
}


@pytest.mark.parametrize("what", CHANGES)
def test_what_was_changed_since_is_neither_verified_nor_signed_as_it_was(
    own_run: Ran, tmp_path: Path, what: str
) -> None:
    run, key, report = run_of(own_run), write_key(tmp_path, "auditor"), tmp_path / "audit.json"
    sign = ["sign", run.name, "--statement", str(report), "--key", key[0]]
    stated(own_run[0], run.name, report, "--level", "plan")
    recipe(own_run[0], *sign)
    envelope = report.read_text()
    value = json.loads(envelope)
    unsigned = base64.b64decode(value["payload"]).decode()
    report.write_text(unsigned)
    CHANGES[what](run, report)
    recipe(own_run[0], *sign, status=1 if what in ("the record", "the subject") else 2)
    changed = base64.b64encode(report.read_bytes()).decode()
    if what == "the record":
        report.write_text(envelope)
    else:
        value["payload"] = changed
        report.write_text(json.dumps(value, indent=1, sort_keys=True) + "\n")
    verify = ["verify", run.name, "--statement", str(report), "--key", key[1]]
    recipe(own_run[0], *verify, status=1)


def test_a_statement_that_is_not_there_is_a_sentence(own_run: Ran, tmp_path: Path) -> None:
    key = write_key(tmp_path, "auditor")
    for command, file in (("sign", key[0]), ("verify", key[1])):
        options = ["--statement", str(tmp_path / "none"), "--key", file]
        found = recipe(own_run[0], command, run_of(own_run).name, *options, status=2)
        assert "there is no file" in found["error"]["message"]


def test_a_statement_that_nobody_signed_is_not_verified(own_run: Ran, tmp_path: Path) -> None:
    run, report, key = run_of(own_run).name, tmp_path / "a.json", write_key(tmp_path, "auditor")
    stated(own_run[0], run, report, "--level", "plan")
    options = ["--statement", str(report), "--key", key[1]]
    assert (
        "is not signed" in recipe(own_run[0], "verify", run, *options, status=2)["error"]["message"]
    )
