"""Real configurations: every key is in one list, and none is passed off as another."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from imports import imported, leaves, listed

from khichdi.schema.errors import InputError

FOLDER = os.environ.get("KHICHDI_TEST_CONFIGS")
pytestmark = pytest.mark.skipif(not FOLDER, reason="KHICHDI_TEST_CONFIGS names no folder")
TOOLS = ("axolotl", "llama-factory", "trl")
FILES = sorted((p for t in TOOLS for p in Path(FOLDER, t).glob("*.y*ml")) if FOLDER else ())


@pytest.mark.parametrize("tool", TOOLS)
def test_every_key_of_every_configuration_is_in_one_list(tool: str) -> None:
    read = 0
    for file in (file for file in FILES if file.parent.name == tool):
        text = file.read_text(encoding="utf-8")
        try:
            report = imported(text, tool, skeleton=True).report
        except InputError:
            continue
        assert sorted(listed(report)) == sorted(leaves(text)), file
        read += 1
    assert read >= 10


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("llama-factory/*lora_sft_gptq*", "model_name_or_path"),
        ("axolotl/*jamba-qlora_fsdp_large*", "chat_template"),
        ("axolotl/.runpod*", "base_model"),
    ],
)
def test_what_a_configuration_has_and_a_recipe_lacks_is_reported(name: str, key: str) -> None:
    found = [file for file in FILES if file.match(name)]
    assert found
    for file in found:
        report = imported(file.read_text(encoding="utf-8"), file.parent.name, skeleton=True).report
        assert key in {entry.key[-1] for entry in report.not_mapped}, file
