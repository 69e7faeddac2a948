"""A run described for machines: valid by the formats' own tools, and every claim derived again."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from khichdi.schema.lock import Lock
from khichdi.schema.record import Record

from .conftest import Workdir, make_workdir
from .test_bundle import recipe

Ran = tuple[Workdir, Any]


def described(where: Workdir, form: str) -> str:
    text = recipe(where, "card", "latest", "--format", form)["card"]
    assert isinstance(text, str)
    return text


def record_of(where: Workdir) -> Record:
    path = next((where.folder / "store" / "runs").iterdir()) / "record.json"
    return Record.from_json(path.read_bytes(), "record.json")


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory, tiny_base: Path) -> Workdir:
    """Return a workdir whose data sets and base have licences, and that ran."""
    workdir = make_workdir(tmp_path_factory.mktemp("labelled") / "workdir", tiny_base)
    for name, said in (("capitals", "cc-by-4.0"), ("colours", "as the painter likes")):
        source = f"source: {{use: files, include: [{name}.jsonl]}}"
        workdir.edit(source, f"{source}\n    license: {said}")
    workdir.edit("model:\n", "model:\n  license: apache-2.0\n")
    workdir.json("run", "pico.yaml")
    return workdir


def hashes(components: list[Any]) -> Iterator[tuple[str, str]]:
    for one in components:
        for digest in one.get("hashes", ()):
            yield one["bom-ref"], f"sha256:{digest['content']}"
        yield from hashes(one.get("components", []))


def test_the_bom_is_valid_by_its_schema(labelled: Workdir) -> None:
    validation = pytest.importorskip(
        "cyclonedx.validation.json", reason="cyclonedx-python-lib is not installed"
    )
    from cyclonedx.schema import SchemaVersion

    validator = validation.JsonStrictValidator(SchemaVersion.V1_6)
    text = described(labelled, "cyclonedx")
    assert validator.validate_str(text) is None
    assert validator.validate_str(text.replace('"data"', '"date"')) is not None


def test_the_bom_has_every_pinned_file_and_every_distribution(labelled: Workdir) -> None:
    value, record = json.loads(described(labelled, "cyclonedx")), record_of(labelled)
    found = dict(hashes([value["metadata"]["component"], *value["components"]]))
    lock = Lock.from_json((labelled.folder / "pico.lock").read_bytes(), "pico.lock")
    for name, material in lock.materials.items():
        for file in material.files:
            assert found.pop(f"{name}/{file.path}") == file.sha256
    steps = {step.name: step.result.outputs for step in record.steps}
    for path, file in steps["train"]["adapter"].files.items():
        assert found.pop(f"train/{path}") == file.sha256
    for side, output in steps["split"].items():
        assert found.pop(f"split#{side}/table.arrow") == output.files["table.arrow"].sha256
    assert not found
    libraries = {c["name"]: c["version"] for c in value["components"] if c["type"] == "library"}
    assert libraries == {one.name: one.version for one in record.installed}
    assert {c["purl"] for c in value["components"] if c["name"] == "ruamel.yaml"} == {
        f"pkg:pypi/ruamel-yaml@{libraries['ruamel.yaml']}"
    }


def test_the_bom_tells_what_was_measured_and_marks_what_was_only_said(labelled: Workdir) -> None:
    value, record = json.loads(described(labelled, "cyclonedx")), record_of(labelled)
    card = value["metadata"]["component"]["modelCard"]
    measured = card["quantitativeAnalysis"]["performanceMetrics"]
    assert {m["type"]: json.loads(m["value"]) for m in measured} == record.metrics
    refs = {one["bom-ref"] for one in value["components"]}
    assert {one["ref"] for one in card["modelParameters"]["datasets"]} <= refs
    assert set(value["dependencies"][0]["dependsOn"]) == refs
    said = {c["bom-ref"]: c["licenses"] for c in value["components"] if "licenses" in c}
    assert said == {
        name: [{"license": {**license_, "acknowledgement": "declared"}}]
        for name, license_ in {
            "base": {"id": "Apache-2.0"},
            "data/capitals/source": {"id": "CC-BY-4.0"},
            "data/colours/source": {"name": "as the painter likes"},
        }.items()
    }


def test_the_croissant_is_valid_by_its_own_package(
    labelled: Workdir, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    croissant = pytest.importorskip("mlcroissant", reason="mlcroissant is not installed")
    path = tmp_path / "croissant.json"
    recipe(labelled, "card", "latest", "--format", "croissant", "--output", str(path))
    with caplog.at_level(logging.WARNING):
        data_set = croissant.Dataset(jsonld=str(path))  # raises where it is not valid
    assert not data_set.metadata.ctx.issues.errors
    assert {one.name for one in data_set.metadata.record_sets} == {"train", "validation"}
    value = json.loads(path.read_text())
    value["distribution"][0].pop("sha256")
    path.write_text(json.dumps(value))
    with pytest.raises(croissant.ValidationError, match="sha256"):
        croissant.Dataset(jsonld=str(path))


def test_the_croissant_s_files_and_columns_are_those_of_the_rows(labelled: Workdir) -> None:
    import hashlib

    import pyarrow as pa

    value, store = json.loads(described(labelled, "croissant")), labelled.folder / "store"
    files = {one["@id"]: one for one in value["distribution"]}
    for one in files.values():
        path = (labelled.folder if one["@id"].startswith("source/") else store) / one["contentUrl"]
        assert hashlib.sha256(path.read_bytes()).hexdigest() == one["sha256"]
        assert one["contentSize"] == f"{path.stat().st_size} B"
    assert value["license"] == ["as the painter likes", "cc-by-4.0"]
    for records in value["recordSet"]:
        rows = pa.ipc.open_file(store / files[f"rows/{records['@id']}"]["contentUrl"]).read_all()
        named = [field["@id"].removeprefix(f"{records['@id']}/") for field in records["field"]]
        assert named == rows.column_names
        repeated = {f["name"].split("/")[1] for f in records["field"] if f.get("repeated")}
        assert repeated == {f.name for f in rows.schema if pa.types.is_list(f.type)}


@pytest.mark.parametrize("form", ["cyclonedx", "croissant"])
def test_the_same_run_gives_the_same_bytes_and_no_place_of_this_machine(
    labelled: Workdir, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = described(labelled, form)
    monkeypatch.setenv("TZ", "Asia/Kolkata")
    monkeypatch.chdir(labelled.folder)
    assert described(labelled, form) == first
    assert str(labelled.folder) not in first
