"""Verdicts, statements and bundles that say more than was done, by what the forger wanted."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from forgery import rewrite

from khichdi.cli.main import main
from khichdi.runtime.bundle.tar_format import laid_out
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
