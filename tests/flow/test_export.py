"""A recipe that exports: a step with a digest, in the run's folder, made once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from .conftest import Workdir


@pytest.mark.slow
def test_an_export_is_a_step_and_reruns_nothing_else(own_run: tuple[Workdir, Any]) -> None:
    workdir, before = own_run
    workdir.edit("evaluate:\n", "export: [{use: merged, onto: dequantized}]\nevaluate:\n")
    document = workdir.json("run", "pico.yaml")
    assert workdir.ran(document) == ["export/merged"]
    assert document["recipe_hash"] != before["recipe_hash"]
    folder = Path(document["exports"]["merged"])
    model = AutoModelForCausalLM.from_pretrained(folder, dtype="auto")
    assert model.dtype == torch.bfloat16
    assert model.generate(torch.tensor([[0, 5, 9]]), max_new_tokens=2).shape[1] > 3

    found = workdir.json("audit", "latest", "--strict")
    exports = next(one for one in found["levels"] if one["level"] == "exports")
    assert (exports["verdict"], exports["basis"]) == ("identical", "hashed")

    again = workdir.json("run", "pico.yaml")
    assert workdir.ran(again) == []
    assert again["result_hash"] == document["result_hash"]


@pytest.mark.slow
def test_a_gguf_is_a_step_with_a_digest(own_run: tuple[Workdir, Any]) -> None:
    workdir, _ = own_run
    workdir.edit("evaluate:\n", "export: [{use: gguf, outtype: q8_0}]\nevaluate:\n")
    document = workdir.json("run", "pico.yaml")
    assert workdir.ran(document) == ["export/gguf"]
    file = Path(document["exports"]["gguf"]) / "model.gguf"
    assert file.read_bytes()[:4] == b"GGUF"
    step = next(step for step in document["steps"] if step["name"] == "export/gguf")
    assert step["digest"]["model"].startswith("sha256:")


def test_an_exporter_is_named_once(workdir: Workdir) -> None:
    workdir.edit("evaluate:\n", "export: [{use: merged}, {use: merged, onto: base}]\nevaluate:\n")
    status, out, _ = workdir.call("validate", "pico.yaml")
    assert status == 2
    assert "exporter `merged` is named twice" in out


@pytest.mark.slow
def test_a_rehearsal_exports_too(workdir: Workdir) -> None:
    workdir.edit("evaluate:\n", "export: [{use: merged}]\nevaluate:\n")
    status, out, err = workdir.call("rehearse", "pico.yaml")
    assert status == 0
    assert "export/merged" in out + err
