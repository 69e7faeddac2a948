"""Bound recipes for tests of what is estimated and checked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from khichdi.compiler.bind import bind
from khichdi.compiler.load import Loaded, load
from khichdi.plugins.registry import load_registry
from khichdi.project.bundled_recipes import open_recipe
from khichdi.schema.recipe import Recipe

TEXT = """\
recipe: 1
model:
  base: {base}
  license: apache-2.0
  quantization: {{use: bitsandbytes, double_quant: true}}
  adapter: {adapter}
data:
  one:
    source: {{use: huggingface, repo: someone/one, repo_type: dataset, split: train}}
    read: {{use: jsonl}}
    license: mit
    sample: {sample}{expect}
mixture: {{validation: {{count: 100}}}}
train: {{use: qlora, template: {{use: alpaca}}, {train}}}
"""
MISTRAL = "{use: huggingface, repo: mistralai/Mistral-7B-v0.1}"


def write(
    folder: Path,
    *,
    base: str = MISTRAL,
    adapter: str = "{use: lora, r: 16}",
    sample: str = "{use: random, count: 10100}",
    expect: str = "",
    train: str = "sequence_len: 1024",
    more: str = "",
) -> Path:
    path = folder / "tested.yaml"
    expected = f"\n    expect: {expect}" if expect else ""
    text = TEXT.format(base=base, adapter=adapter, sample=sample, expect=expected, train=train)
    path.write_text(text + more)
    return path


def load_bound(path: Path) -> tuple[Loaded, Recipe]:
    loaded = load(path.name, path.parent, open_recipe)
    return loaded, bind(loaded, load_registry())


def bound(folder: Path, **parts: Any) -> Recipe:
    return load_bound(write(folder, **parts))[1]
