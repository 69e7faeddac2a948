"""What a run only claims is marked as claimed wherever it is shown, and nothing else is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from khichdi.schema.claims import CLAIMED

from .conftest import Workdir
from .test_audit import audit
from .test_bundle import recipe
from .test_sign import write_key

Ran = tuple[Workdir, Any]
KINDS = list(dict.fromkeys(one.what for one in CLAIMED))
METRICS = {"eval_loss_before", "trainable_parameters"}
"""Metrics of a training that its trace does not give."""


def shown(workdir: Workdir, *words: str) -> str:
    status, out, err = workdir.call(*words)
    assert status == 0, out + err
    return out


def test_an_audit_names_the_fields_and_figures_that_it_did_not_derive(
    shared_run: Ran, tmp_path: Path
) -> None:
    page, statement = tmp_path / "audit.html", tmp_path / "audit.json"
    found = audit(shared_run[0], "--html", str(page), "--statement", str(statement))
    assert list(found["claimed"]) == [kind for kind in KINDS if kind in found["claimed"]]
    assert "record started" in found["claimed"]["times and memory"]
    assert found["claimed"]["machine"][0] == "record environment"
    text = shown(shared_run[0], "audit", "latest")
    assert f"claimed, in no hash: {', '.join(found['claimed'])}" in text
    assert "to verify them" not in text
    for words in (page.read_text(), json.dumps(json.loads(statement.read_text()))):
        assert all(name in words for fields in found["claimed"].values() for name in fields)


def test_a_run_marks_times_machine_and_metrics_that_no_artifact_gives(shared_run: Ran) -> None:
    workdir, document = shared_run
    assert set(document["claimed"]["metrics"]) == METRICS
    assert document["claimed"]["times and memory"][:2] == ["record started", "record seconds"]
    lines = shown(workdir, "runs", "latest").splitlines()
    assert lines[0].endswith("(claimed)")
    told = [line.split() for line in lines]
    marked = {words[0] for words in told if len(words) == 3 and words[-1] == "claimed"}
    assert marked == METRICS
    assert [line for line in lines if "measured" in line] == [
        line for line in lines if line.startswith(("memory", "training")) and "(claimed)" in line
    ]


def test_a_card_marks_origins_and_lengths_and_the_bom_everything_in_no_hash(
    shared_run: Ran,
) -> None:
    text = shown(shared_run[0], "card", "latest")
    assert "| from (claimed) |" in text
    assert "## Length in tokens (claimed)" in text
    value = json.loads(recipe(shared_run[0], "card", "latest", "--format", "cyclonedx")["card"])
    told = {one["name"]: one["value"] for one in value["metadata"]["properties"]}
    assert json.loads(told["khichdi:claimed"]) == audit(shared_run[0])["claimed"]
    assert set(json.loads(told["khichdi:claimedMetrics"])) == METRICS


def test_the_trainer_s_signature_is_of_a_statement_that_marks_its_claims(
    own_run: Ran, tmp_path: Path
) -> None:
    from khichdi.project.audit_target import open_target
    from khichdi.runtime.signing.signing import statement

    run = next((own_run[0].folder / "store" / "runs").iterdir())
    assert recipe(own_run[0], "sign", run.name, "--key", write_key(tmp_path, "trainer")[0])
    with open_target(run, store=own_run[0].folder / "store") as claim:
        made = statement(claim).predicate.build_definition.internal_parameters
    assert list(made["claimed"]) == list(audit(own_run[0])["claimed"])  # type: ignore[arg-type, call-overload]
