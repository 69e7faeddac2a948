"""Write a run as a CycloneDX ML-BOM: the adapter, its inputs and its tools.

Everything in it follows from the run's record, plan and lock, and anybody who has those derives it
again; mere declarations, such as a license, are marked as declared. The same run gives the same
bytes.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

from ...schema.lock import Distribution, Material
from ...schema.plan import Plan, PlanStep
from ...schema.record import Output, Record

SPECIFICATION = "1.6"
NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "urn:khichdi:run:1")
DECLARED = "licenses, as the recipe declares them; approach and task, as of every such training"
LICENSES = {
    name.lower(): name
    for name in (
        "Apache-2.0", "MIT", "BSD-2-Clause", "BSD-3-Clause", "CC0-1.0", "CC-BY-4.0", "CC-BY-3.0",
        "CC-BY-SA-3.0", "CC-BY-SA-4.0", "CC-BY-NC-4.0", "CC-BY-NC-SA-4.0", "CC-BY-ND-4.0",
        "GPL-2.0-only", "GPL-3.0-only", "AGPL-3.0-only", "LGPL-3.0-only", "MPL-2.0", "ODC-By-1.0",
        "ODbL-1.0", "PDDL-1.0", "Unlicense", "ISC", "Artistic-2.0",
    )
}  # fmt: skip
"""SPDX ids by what they are called in lower case, as data sets are labelled."""

Json = dict[str, Any]


def bom(plan: Plan, record: Record) -> str:
    """Return the BOM as JSON text."""
    parts = [*_bases(plan, record), *_data_sets(plan, record)]
    libraries = list(_libraries(record))
    adapter = _adapter(plan, record, [part for part in parts if part["type"] == "data"])
    value = {
        "$schema": f"http://cyclonedx.org/schema/bom-{SPECIFICATION}.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": SPECIFICATION,
        "serialNumber": f"urn:uuid:{uuid.uuid5(NAMESPACE, record.result_hash + record.started)}",
        "version": 1,
        "metadata": {
            "timestamp": record.started,
            "component": adapter,
            "properties": _properties(
                recipeHash=record.recipe_hash,
                resultHash=record.result_hash,
                lock=record.lock,
                declared=DECLARED,
                **{f"environment:{k}": v for k, v in record.environment.items() if k != "packages"},
            ),
        },
        "components": [*parts, *libraries],
        "dependencies": [
            {
                "ref": adapter["bom-ref"],
                "dependsOn": sorted(one["bom-ref"] for one in [*parts, *libraries]),
            }
        ],
    }
    return json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def _adapter(plan: Plan, record: Record, data: list[Json]) -> Json:
    """Return the component of what came out, with its model card."""
    trained = next(step for step in record.steps if step.kind == "runtime")
    planned = plan.step(trained.name)
    output = trained.result.outputs["adapter"]
    settings = {
        f"{role}.{name}": value
        for role, plugin in {"training": planned.plugin, **planned.parts}.items()
        for name, value in {"use": plugin.name, **plugin.identity()["params"]}.items()
    }
    return {
        "type": "machine-learning-model",
        "bom-ref": trained.name,
        "name": record.recipe,
        "components": list(_files(trained.name, _hashes(output))),
        "properties": _properties(content=output.digest),
        "modelCard": {
            "modelParameters": {
                "approach": {"type": "supervised"},
                "task": "text-generation",
                "datasets": [{"ref": one["bom-ref"]} for one in data],
                "inputs": [{"format": "text"}],
                "outputs": [{"format": "text"}],
            },
            "quantitativeAnalysis": {
                "performanceMetrics": [
                    {"type": name, "value": json.dumps(value)}
                    for name, value in sorted(record.metrics.items())
                ]
            },
            "properties": _properties(seed=record.seed, **settings),
        },
    }


def _bases(plan: Plan, record: Record) -> Iterator[Json]:
    names = {name for step in plan.steps for role, name, _ in step.sources() if role == "base"}
    for step in plan.steps:
        if step.name in names and step.material is not None:
            said = (record.bound or {}).get("model", {}).get("license")
            component = _sourced(step, step.material, "machine-learning-model", said)
            if step.package_url and step.material.revision:
                component["purl"] = f"{step.package_url}@{step.material.revision.lower()}"
            yield component


def _data_sets(plan: Plan, record: Record) -> Iterator[Json]:
    """Yield each data set as it arrived, and the rows that were made of them all."""
    done = {step.name: step.result for step in record.steps}
    for step in plan.steps:
        if step.kind != "reader":
            continue
        source = plan.step(next(name for _, name, _ in step.sources()))
        if source.material is None:
            continue
        component = _sourced(source, source.material, "data", step.settings.get("license"))
        facts = done[step.name].facts
        counts = _properties(recordsRead=facts.get("rows_in"), rows=facts.get("rows_out"))
        name = component["name"] = step.name.removesuffix("/read")
        component["data"] = [{"type": "dataset", "name": name, "contents": {"properties": counts}}]
        yield component
    for side, output in done["split"].outputs.items() if "split" in done else ():
        reference = f"split#{side}"
        yield {
            "type": "data",
            "bom-ref": reference,
            "name": f"{record.recipe} {side}",
            "components": list(_files(reference, _hashes(output))),
            "data": [{"type": "dataset", "name": f"{record.recipe} {side}"}],
            "properties": _properties(content=output.digest),
        }


def _sourced(step: PlanStep, material: Material, kind: str, license_: Any) -> Json:
    """Return the component of a source: every file by its digest, and where it was asked for."""
    properties = _properties(use=step.plugin.name, place=step.origin, content=material.manifest())
    component: Json = {
        "type": kind,
        "bom-ref": step.name,
        "name": step.origin or step.name,
        "components": list(_files(step.name, {file.path: file.sha256 for file in material.files})),
        "properties": properties,
    }
    if material.revision:
        component["version"] = material.revision
    if license_:
        known = LICENSES.get(str(license_).lower())
        named = {"id": known} if known else {"name": str(license_)}
        component["licenses"] = [{"license": {**named, "acknowledgement": "declared"}}]
    return component


def _libraries(record: Record) -> Iterator[Json]:
    """Yield the interpreter's distributions, those that plugins came from with their files."""
    every: dict[str, Distribution] = {}
    for one in (*record.installed, *record.plugins):
        if one.local:
            yield from _files("plugin", {one.name: str(one.files)})
        else:
            every[_normalized(one.name)] = one
    for name, one in sorted(every.items()):
        plain = f"pkg:pypi/{name}@{quote(one.version, safe='')}"
        component: Json = {
            "type": "library",
            "bom-ref": plain,
            "name": one.name,
            "version": one.version,
            "purl": plain,
        }
        if one.files:
            component["properties"] = _properties(files=one.files)
        yield component


def _files(owner: str, digests: Mapping[str, str]) -> Iterator[Json]:
    for path, digest in sorted(digests.items()):
        yield {
            "type": "file",
            "bom-ref": f"{owner}/{path}",
            "name": path,
            "hashes": [{"alg": "SHA-256", "content": digest.removeprefix("sha256:")}],
        }


def _hashes(output: Output) -> dict[str, str]:
    return {path: file.sha256 for path, file in output.files.items()}


def _properties(**values: Any) -> list[Json]:
    """Return properties of our own, those that have a value."""
    return [
        {"name": f"khichdi:{name}", "value": one if isinstance(one, str) else json.dumps(one)}
        for name, one in sorted(values.items())
        if one is not None
    ]


def _normalized(name: str) -> str:
    """Return a distribution's name as PyPI compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()
