"""Honest runs for forgers to start from: every kind of step, small enough to execute in seconds."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import khichdi

from ...flow.conftest import rows
from ...helpers.miniature import make_base
from ...helpers.signing_keys import write_key

RECIPE = """\
recipe: 1
name: pico
seed: 5
model:
  base: {use: files, folder: base, include: ["*"]}
  quantization: {use: bitsandbytes, bits: 4, compute_dtype: bfloat16}
  adapter: {use: lora, r: 2, alpha: 4, dropout: 0.05, target_modules: [q_proj, v_proj]}
data:
  capitals:
    source: {use: files, include: [capitals.jsonl]}
    read: {use: jsonl}
    filters:
      - {use: max-words, fields: [input], below: 6}
    sample: {use: random, fraction: 0.9}
  colors:
    source: {use: files, include: [colors.jsonl]}
    read: {use: jsonl}
mixture:
  filters: [{use: exact-duplicates, by: [input]}]
  validation: {count: 2}
train:
  use: qlora
  template: {use: alpaca}
  sequence_len: 96
  micro_batch_size: 1
  gradient_accumulation_steps: 2
  num_epochs: 2
  optimizer: paged_adamw_32bit
  learning_rate: 1.0e-3
  neftune_noise_alpha: 5
  eval_steps: 2
  metric_for_best_model: eval_loss
  cpu_threads: 1
export: [{use: merged}]
evaluate:
  - {use: generate, max_new_tokens: 3, cpu_threads: 1}
"""
SCORED = "    score: {use: few-shot, shots: 1, metric: exact-match, max_new_tokens: 2}\n"
"""Added to the second shape: rows scored by the base model."""


@dataclass(frozen=True)
class Honest:
    """A run as its trainer made it, in a store of its own, signed.

    Attributes:
        store: the store.
        name: the run's name in it.
        key: the private key that signed it.
        public: the public one.
    """

    store: Path
    name: str
    key: Path
    public: Path

    @property
    def run(self) -> Path:
        """Return the run's folder."""
        return self.store / "runs" / self.name


def shapes() -> dict[str, Callable[[Path], Path]]:
    """Return, by name, how each shape's base is written to a folder."""
    return {"one file": make_base, "two shards": make_shards}


def make_shards(folder: Path) -> Path:
    """Write a base of two shards with an index, as large models are published."""
    from transformers import AutoModelForCausalLM

    from khichdi.plugins.toolkit.tokenization import quiet

    whole = make_base(folder.with_name("whole"))
    with quiet():
        model = AutoModelForCausalLM.from_pretrained(whole, dtype="auto")
        model.save_pretrained(folder, max_shard_size=model.num_parameters() * 2 + 100_000)
    for path in whole.iterdir():
        if path.suffix != ".safetensors" and not (folder / path.name).exists():
            shutil.copyfile(path, folder / path.name)
    shutil.rmtree(whole)
    assert len(list(folder.glob("model-*.safetensors"))) == 2
    return folder


def cook(folder: Path, shape: str) -> tuple[Honest, Honest]:
    """Run a shape's recipe, and a second one with other data and another rate; sign both."""
    home = folder / "home"
    home.mkdir(parents=True)
    shapes()[shape](home / "base")
    text = RECIPE if shape == "one file" else RECIPE.replace("    sample:", SCORED + "    sample:")
    key, public = (Path(path) for path in write_key(folder, "trainer"))
    made = []
    for name, rate, subject in (("honest", "1.0e-3", "capital"), ("other", "2.0e-3", "town")):
        (home / "capitals.jsonl").write_text(rows(f"a {subject}", 9))
        (home / "colors.jsonl").write_text(rows("a color", 5))
        (home / "pico.yaml").write_text(text.replace("1.0e-3", rate))
        (home / "pico.lock").unlink(missing_ok=True)
        store = folder / name / "store"
        run = khichdi.open_recipe(home / "pico.yaml", store=store).run()
        made.append(Honest(store, run.name, key, public))
    return made[0], made[1]


def clone(honest: Honest, folder: Path) -> Honest:
    """Return a copy of a run and its store, by hard links: its files are replaced, not changed."""
    shutil.copytree(honest.store, folder, copy_function=os.link)
    return Honest(folder, honest.name, honest.key, honest.public)
