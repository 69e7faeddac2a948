"""The specification of the hashes: what is written, and both that implement it, agree."""

from __future__ import annotations

import base64
import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pyarrow as pa
import pytest
import rfc8785

from khichdi.runtime.adapter_files import adapter_digest
from khichdi.schema.digest import (
    derive_seed,
    digest,
    draws,
    file_sha256,
    manifest_digest,
    safetensors_digest,
    table_digest,
    tensors_digest,
)
from khichdi.schema.lock import Material
from khichdi.schema.plan import PlanStep, PluginRef, recipe_hash, result_hash, source_key, step_key

DOCS = Path(__file__).parents[2] / "docs"
VECTORS = json.loads((DOCS / "recipe-hash-vectors.json").read_bytes())
TEXT = (DOCS / "recipe-hash.md").read_text("utf-8")


def second() -> ModuleType:
    spec = importlib.util.spec_from_file_location("recipe_hash", DOCS / "recipe_hash.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


SECOND = second()


def arrow_type(text: str) -> pa.DataType:
    if text.startswith("list<"):
        return pa.list_(arrow_type(text[5:-1]))
    if text.startswith("struct<"):
        return pa.struct([(name, arrow_type(kind)) for name, kind in SECOND.fields(text[7:-1])])
    return {"double": pa.float64(), "float": pa.float32(), "bool": pa.bool_()}.get(
        text
    ) or pa.type_for_alias(text)


def arrow(columns: list[Any]) -> pa.Table:
    arrays = [pa.array(values, arrow_type(kind)) for _, kind, values in columns]
    return pa.table(arrays, names=[name for name, _, _ in columns])


def saved(folder: Path, name: str, data: bytes) -> Path:
    (folder / name).write_bytes(data)
    return folder / name


def tensors(value: Any) -> dict[str, tuple[str, tuple[int, ...], bytes]]:
    return {n: (d, tuple(s), base64.b64decode(data)) for n, (d, s, data) in value.items()}


def adapter(folder: Path, value: Any) -> str:
    saved(folder, "adapter_model.safetensors", base64.b64decode(value["weights"]))
    saved(folder, "adapter_config.json", json.dumps(value["config"]).encode())
    return adapter_digest(folder)


def plan(value: Any) -> dict[str, Any]:
    """Key each step again with the functions that the compiler uses."""
    keys: dict[str, str] = {}
    steps = []
    for step in value["steps"]:
        ref = PluginRef.model_validate(step["plugin"])
        if step["kind"] == "source":
            pinned = step["material"]
            key = source_key(ref, Material.model_validate(pinned) if pinned else None)
        else:
            parts = {role: PluginRef.model_validate(part) for role, part in step["parts"].items()}
            inputs = {}
            for role, reference in step["inputs"].items():
                name, output = reference.rsplit("#", 1)
                inputs[role] = f"{keys[name]}#{output}"
            key = step_key(step["kind"], ref, parts, step["settings"], inputs, step["seed"])
        keys[step["name"]] = key
        steps.append(PlanStep.model_validate({**step, "key": key}))
    locked = all(step.material for step in steps if step.kind == "source")
    return {"recipe_hash": recipe_hash(tuple(steps), locked), "keys": keys}


def result(value: Any) -> str:
    return result_hash(
        {
            step["name"]: {k: o["digest"] for k, o in step["result"]["outputs"].items()}
            for step in value["steps"]
        }
    )


def ours(kind: str, value: Any, folder: Path) -> Any:
    """Derive a vector's output with khichdi."""
    raw = base64.b64decode(value) if isinstance(value, str) and kind != "canonical" else b""
    pairs = {k: (size, sha) for k, (size, sha) in value.items()} if kind == "manifest" else {}
    return {
        "canonical": lambda: rfc8785.dumps(value).decode(),
        "digest": lambda: digest(*value),
        "file": lambda: file_sha256(saved(folder, "file", raw)),
        "manifest": lambda: manifest_digest(pairs),
        "seed": lambda: derive_seed(*value),
        "draw": lambda: str(draws(value[0], [value[1]])[0]),
        "table": lambda: table_digest(arrow(value["columns"])),
        "tensors": lambda: tensors_digest(tensors(value)),
        "safetensors": lambda: safetensors_digest(saved(folder, "x.safetensors", raw)),
        "adapter": lambda: adapter(folder, value),
        "plan": lambda: plan(value),
        "result": lambda: result(value),
    }[kind]()


def theirs(kind: str, value: Any) -> Any:
    """Derive a vector's output with the second implementation."""

    def planned() -> dict[str, Any]:
        root, keys = SECOND.recipe_hash(value)
        return {"recipe_hash": root, "keys": keys}

    return {
        "canonical": lambda: SECOND.canonical(value),
        "digest": lambda: SECOND.digest(*value),
        "file": lambda: SECOND.sha256(base64.b64decode(value)),
        "manifest": lambda: SECOND.manifest(value),
        "seed": lambda: SECOND.derived_seed(*value),
        "draw": lambda: str(SECOND.draw(*value)),
        "table": lambda: SECOND.table(value["columns"], value["rows"]),
        "tensors": lambda: SECOND.tensors(tensors(value)),
        "safetensors": lambda: SECOND.safetensors(base64.b64decode(value)),
        "adapter": lambda: SECOND.adapter(base64.b64decode(value["weights"]), value["config"]),
        "plan": planned,
        "result": lambda: SECOND.result_hash(value),
    }[kind]()


@pytest.mark.parametrize(
    "vector", VECTORS, ids=lambda vector: f"{vector['kind']}: {vector['what']}"
)
def test_both_implementations_give_the_vectors_output(vector: Any, tmp_path: Path) -> None:
    assert ours(vector["kind"], vector["input"], tmp_path) == vector["output"]
    assert theirs(vector["kind"], vector["input"]) == vector["output"]


def test_there_are_vectors_of_every_kind_and_no_two_are_the_same() -> None:
    assert len({json.dumps(vector["input"], sort_keys=True) for vector in VECTORS}) >= 50
    named = set(re.findall(r"^\| `([a-z]+)` \|", TEXT.split("## Test vectors")[1], re.MULTILINE))
    assert named == {vector["kind"] for vector in VECTORS}


def test_the_second_implementation_is_short_and_shares_no_code() -> None:
    source = (DOCS / "recipe_hash.py").read_text("utf-8")
    assert len(source.splitlines()) < 210
    imported = re.findall(r"^\s*(?:from|import) ([\w.]+)", source, re.MULTILINE)
    assert {name.split(".")[0] for name in imported} <= sys.stdlib_module_names


def test_every_example_of_the_specification_holds() -> None:
    found = re.findall(r"```\n\$ printf '(.*)' \| sha256sum\n([0-9a-f]{64})  -\n```", TEXT)
    assert len(found) >= 3
    for text, expected in found:
        done = subprocess.run(
            ["bash", "-c", f"printf '{text}' | sha256sum"], capture_output=True, text=True
        )
        assert done.stdout == f"{expected}  -\n"
