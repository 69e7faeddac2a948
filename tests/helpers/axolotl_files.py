"""A small configuration of axolotl, and what it becomes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from imports import imported

from khichdi.compiler.validate import validate
from khichdi.plugins.registry import load_registry
from khichdi.project.bundled_recipes import open_recipe

SMALL = """\
base_model: meta-llama/Llama-2-7b-hf
load_in_4bit: true
adapter: qlora
lora_r: 8
lora_alpha: 16
lora_target_linear: true
datasets:
  - path: tatsu-lab/alpaca
    type: alpaca
learning_rate: 2e-4
warmup_steps: 10
"""


def bound(text: str, tmp_path: Path) -> dict[str, Any]:
    (tmp_path / "imported.yaml").write_text(text, encoding="utf-8")
    recipe = validate("imported.yaml", tmp_path, open_recipe, load_registry()).recipe
    return recipe.to_json()


def axolotl(text: str, tmp_path: Path) -> tuple[dict[str, Any], Any]:
    done = imported(text, "axolotl")
    return bound(done.text, tmp_path), done.report
