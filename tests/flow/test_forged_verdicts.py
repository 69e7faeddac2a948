"""Verdicts, statements and bundles that say more than was done, by what the forger wanted."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path

import pytest
from forgery import rewrite

from khichdi.cli.main import main
from khichdi.runtime.bundle.tar_format import laid_out
from khichdi.runtime.signing.signing import ATTESTATION, add_signature
from khichdi.schema.audit import LEVELS
from khichdi.schema.bundle import CONTENTS, Contents
from khichdi.schema.digest import file_sha256
from khichdi.schema.record import FileDigest

from .forging import Ran, recipe
from .test_audit import audit, run_of
from .test_sign import write_key


def test_a_statement_that_says_passed_where_nothing_was_executed(
    own_run: Ran, tmp_path: Path
) -> None:
    statement, key = tmp_path / "audit.json", write_key(tmp_path, "auditor")
    audit(own_run[0], "--statement", str(statement))
    value = json.loads(statement.read_text())
    assert value["predicate"]["result"] == "WARNED"
    (method,) = (one for one in value["predicate"]["configuration"] if one["name"] == "khichdi")
    assert (method["annotations"]["mode"], method["annotations"]["basis"]) == ("bytes", "read")
    value["predicate"]["result"] = "PASSED"
    statement.write_text(json.dumps(value))
    words = ("sign", run_of(own_run).name, "--statement", str(statement), "--key", key[0])
    status, found = recipe(own_run[0], *words)
    assert status == 2
    assert "says PASSED, its tests give WARNED" in found["error"]["message"]
    value["predicate"]["passedTests"] = [f"{level}: identical (executed)" for level in LEVELS]
    value["predicate"]["warnedTests"] = []
    statement.write_text(json.dumps(value))
    status, found = recipe(own_run[0], *words)
    assert status == 2
    assert "an audit of bytes has executed nothing" in found["error"]["message"]


def test_a_calibration_swapped_after_it_was_signed(own_run: Ran, tmp_path: Path) -> None:
    run, key = run_of(own_run), write_key(tmp_path, "trainer")
    (run / "calibration.json").write_text("{}")
    assert recipe(own_run[0], "sign", run.name, "--key", key[0])[0] == 0
    assert recipe(own_run[0], "verify", run.name, "--key", key[1])[0] == 0
    (run / "calibration.json").write_text("{ }")
    status, found = recipe(own_run[0], "verify", run.name, "--key", key[1])
    assert status == 1
    assert "calibration.json" in found["error"]["message"]


@pytest.mark.parametrize("wanted", ["another recipe hash in front", "a member that nobody signed"])
def test_a_bundle_that_says_more_than_its_record(own_run: Ran, tmp_path: Path, wanted: str) -> None:
    bundle = tmp_path / "run.bundle"
    assert recipe(own_run[0], "bundle", run_of(own_run).name, "-o", str(bundle))[0] == 0
    from khichdi.runtime.bundle.read import unpacked

    with unpacked(bundle) as (folder, contents):
        files, hash_ = dict(contents.files), contents.recipe_hash
        if wanted.startswith("a member"):
            (folder / "README.md").write_text("trust me")
            files["README.md"] = FileDigest(size=8, sha256=file_sha256(folder / "README.md"))
        else:
            hash_ = "sha256:" + "0" * 64
        update = {"files": dict(sorted(files.items())), "recipe_hash": hash_}
        forged = Contents.model_validate({**contents.to_json(), **update})
        members = [(name, folder / name) for name in forged.files]
        pieces = laid_out([(CONTENTS, forged.to_text().encode()), *members])
        bundle.write_bytes(b"".join(pieces))
    status, found = recipe(own_run[0], "audit", str(bundle))
    assert status == 1
    assert "README.md" in str(found) or "contradicts the record" in found["error"]["message"]


def test_a_verdict_printed_by_the_record_itself(
    own_run: Ran, capsys: pytest.CaptureFixture[str]
) -> None:
    fake = "EPYC\x1b[0m\x1b[K\r\nverdict: IDENTICAL\r\n\x1b[8m\u202e"
    rewrite(run_of(own_run), "record.json", lambda record: record["environment"].update(cpu=fake))
    rewrite(
        run_of(own_run), "record.json", lambda record: record["metrics"].update(exact_match=9.0)
    )
    page = own_run[0].folder / "audit.html"
    store = str(own_run[0].folder / "store")
    assert main(["audit", "latest", "--html", str(page), "--store", store]) == 1
    shown = capsys.readouterr().out
    assert "EPYC\\x1b[0m" in shown
    for text in (shown, page.read_text()):
        assert not any(mark in text for mark in "\x1b\r\u202e")
    assert [line for line in shown.splitlines() if line.startswith("verdict")] == [
        "verdict: DIVERGED at metrics"
    ]


@pytest.mark.parametrize("first", [True, False], ids=["the first", "the last"])
def test_a_signed_statement_that_is_read_in_two_ways(
    own_run: Ran, tmp_path: Path, first: bool
) -> None:
    """Of a key given twice one reader takes the first value, and another the last."""
    run, key = run_of(own_run), write_key(tmp_path, "trainer")
    assert recipe(own_run[0], "sign", run.name, "--key", key[0])[0] == 0
    path = run / ATTESTATION
    signed = base64.b64decode(json.loads(path.read_text())["payload"])
    honest = re.search(rb'"recipeHash":"sha256:[0-9a-f]{64}"', signed)
    assert honest is not None
    forged = b'"recipeHash":"sha256:' + b"1" * 64 + b'"'
    both = b",".join([forged, honest[0]] if first else [honest[0], forged])
    path.unlink()
    add_signature(path, signed.replace(honest[0], both), Path(key[0]), known=False)
    status, found = recipe(own_run[0], "verify", run.name, "--key", key[1])
    assert status == 1
    assert "'recipeHash' is listed twice" in found["error"]["message"]


def test_a_verdict_beside_the_signatures(own_run: Ran, tmp_path: Path) -> None:
    run, key = run_of(own_run), write_key(tmp_path, "trainer")
    assert recipe(own_run[0], "sign", run.name, "--key", key[0])[0] == 0
    envelope = json.loads((run / ATTESTATION).read_text())
    envelope["signatures"][0]["verdict"] = "PASSED"
    (run / ATTESTATION).write_text(json.dumps(envelope, indent=1, sort_keys=True) + "\n")
    status, found = recipe(own_run[0], "verify", run.name, "--key", key[1])
    assert status == 1
    assert "attestation.json is not as it was written" in found["error"]["message"]


@pytest.mark.parametrize("field", ["until", "settings"])
def test_a_verdict_printed_by_how_the_run_was_asked_for(
    own_run: Ran, capsys: pytest.CaptureFixture[str], field: str
) -> None:
    fake = "x\x1b[2J\r\nverdict: IDENTICAL\r\n\x1b[8m\u202e"
    value = [f"seed={fake}"] if field == "settings" else fake
    rewrite(run_of(own_run), "record.json", lambda record: record.update({field: value}))
    store = str(own_run[0].folder / "store")
    for command in ("audit", "runs"):
        assert main([command, "latest", "--store", store]) == (1 if command == "audit" else 0)
        shown = capsys.readouterr()
        assert not any(mark in shown.out + shown.err for mark in "\x1b\r\u202e")
        assert "verdict: IDENTICAL" not in shown.out.splitlines()


def test_an_audit_of_another_run_in_front_of_this_one(own_run: Ran, tmp_path: Path) -> None:
    statement, key = tmp_path / "audit.json", write_key(tmp_path, "auditor")
    audit(own_run[0], "--statement", str(statement))
    rewrite(run_of(own_run), "record.json", lambda record: record.update(seconds=1.0))
    words = ("sign", run_of(own_run).name, "--statement", str(statement), "--key", key[0])
    status, found = recipe(own_run[0], *words)
    assert status == 1
    assert "audit.json is of another run" in found["error"]["message"]
