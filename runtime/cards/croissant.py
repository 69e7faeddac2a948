"""Write a run's curated data set as Croissant: files by sha256, and columns of rows.

Everything in it follows from the run's record, plan and lock, but licences, which are declared.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

from ...schema.plan import Plan
from ...schema.record import Record
from ...schema.rows import COLUMNS, TURN

FORMAT = "http://mlcommons.org/croissant/1.0"
ARROW = "application/vnd.apache.arrow.file"
ENCODINGS = {
    ".arrow": ARROW,
    ".csv": "text/csv",
    ".gz": "application/gzip",
    ".json": "application/json",
    ".jsonl": "application/jsonlines",
    ".parquet": "application/x-parquet",
    ".tsv": "text/tab-separated-values",
    ".txt": "text/plain",
    ".zip": "application/zip",
}
CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
"""The context that Croissant 1.0 asks for; a reader may know its terms by no other."""

Json = dict[str, Any]


def croissant(plan: Plan, record: Record) -> str:
    """Return the description as JSON-LD text; the same run gives the same bytes."""
    made = next(step for step in record.steps if step.name == "split").result
    licenses = _licenses(plan)
    facts: Any = made.facts
    value: Json = {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "name": record.recipe,
        "conformsTo": FORMAT,
        "description": (
            f"{facts['rows_out']:,} rows to train on and {facts['held_out']:,} for validation, "
            f"made by a recipe whose hash is {record.recipe_hash}. Files are known by sha256 and "
            "every count is derived; licenses are those of the recipe, rows may have their own."
        ),
        "datePublished": record.started[:10],
        "url": f"urn:khichdi:result:{record.result_hash}",
        "identifier": record.result_hash,
        "distribution": [*_curated(record), *_sources(plan)],
        "recordSet": [_record_set(side) for side in made.outputs],
    }
    if licenses:
        value["license"] = licenses
    return json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def _licenses(plan: Plan) -> list[str]:
    said = {str(s.settings["license"]) for s in plan.steps if s.settings.get("license")}
    return sorted(said)


def _curated(record: Record) -> Iterator[Json]:
    """Yield the files of the rows that were made, at their places in the store."""
    made = next(step for step in record.steps if step.name == "split").result
    for side, output in made.outputs.items():
        folder = f"artifacts/{output.manifest.removeprefix('sha256:')}"
        for path, file in output.files.items():
            described = f"The {side} rows; their content is {output.digest}."
            place = f"{folder}/{path}"
            yield _file(_id(side), path, file.sha256, file.size, place, described)


def _sources(plan: Plan) -> Iterator[Json]:
    """Yield every file that the rows were made of, as it was pinned."""
    for step in plan.steps:
        if step.kind != "source" or not step.name.startswith("data/") or step.material is None:
            continue
        at = f" at revision {step.material.revision}" if step.material.revision else ""
        name = step.name.removeprefix("data/").removesuffix("/source")
        described = f"Of the data set {name}, from {step.plugin.name}{at}."
        for file in step.material.files:
            named = f"source/{name}/{file.path}"
            place = file.url or file.path
            yield _file(named, file.path, file.sha256, file.size, place, described)


def _file(named: str, path: str, sha256: str, size: int, place: str, described: str) -> Json:
    suffix = PurePosixPath(path).suffix.lower()
    return {
        "@type": "cr:FileObject",
        "@id": named,
        "name": named,
        "description": described,
        "contentUrl": place,
        "contentSize": f"{size} B",
        "encodingFormat": ENCODINGS.get(suffix, "application/octet-stream"),
        "sha256": sha256.removeprefix("sha256:"),
    }


def _record_set(side: str) -> Json:
    return {
        "@type": "cr:RecordSet",
        "@id": side,
        "name": side,
        "key": {"@id": f"{side}/id"},
        "field": [_field(side, name, kind) for name, kind in COLUMNS.items()],
    }


def _field(side: str, name: str, kind: str) -> Json:
    field: Json = {
        "@type": "cr:Field",
        "@id": f"{side}/{name}",
        "name": f"{side}/{name}",
        "dataType": "sc:Text",
        "source": {"fileObject": {"@id": _id(side)}, "extract": {"column": name}},
    }
    if kind == "list":
        field["repeated"] = True
    if kind == "turns":
        # A list of turns, each with its role, its text and what else it carries.
        del field["dataType"]
        field["repeated"] = True
        field["subField"] = [
            {
                "@type": "cr:Field",
                "@id": f"{side}/{name}/{part}",
                "name": f"{side}/{name}/{part}",
                "dataType": "sc:Text",
                "source": {
                    "fileObject": {"@id": _id(side)},
                    "extract": {"column": name},
                    "transform": {"jsonPath": f"$.{part}"},
                },
            }
            for part in TURN
        ]
    return field


def _id(side: str) -> str:
    return f"rows/{side}"
