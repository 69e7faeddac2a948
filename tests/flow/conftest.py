"""A workdir: a folder with a miniature base, a little data and a recipe; and the command."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from ..helpers.command_server import command_server

RECIPE = """\
recipe: 1
name: pico   # a comment
seed: 5
model:
  base: {use: files, folder: base, include: ["*"]}
  quantization: {use: bitsandbytes, bits: 4, compute_dtype: bfloat16}
  adapter: {use: lora, r: 8, alpha: 16, dropout: 0.05, target_modules: all-linear}
data:
  capitals:
    source: {use: files, include: [capitals.jsonl]}
    read: {use: jsonl}
    filters:
      - {use: max-words, fields: [input], below: 6}
    sample: {use: random, fraction: 0.9}
  colours:
    source: {use: files, include: [colours.jsonl]}
    read: {use: jsonl}
mixture:
  filters: [{use: exact-duplicates, by: [input]}]
  validation: {count: 6}
train:
  use: qlora
  template: {use: alpaca}
  sequence_len: 96
  micro_batch_size: 1
  gradient_accumulation_steps: 2
  num_epochs: 3
  optimizer: paged_adamw_32bit
  learning_rate: 1.0e-3
  neftune_noise_alpha: 5
  eval_steps: 3
  metric_for_best_model: eval_loss
  cpu_threads: 1
evaluate:
  - {use: generate, max_new_tokens: 4, cpu_threads: 1}
"""


def rows(subject: str, count: int) -> str:
    lines = []
    for number in range(count):
        words = " ".join(["word"] * (number % 7))
        row = {"instruction": f"Name {subject}.", "input": f"{number} {words}", "output": "Rome"}
        lines.append(json.dumps(row) + "\n")
    return "".join(lines)


@dataclass
class Workdir:
    """A folder with a recipe, and the `recipe` command.

    A command is a process of its own: forked from one that has loaded torch, or started from
    nothing where its environment is to differ or where `start` is asked for it.
    """

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def recipe(self) -> Path:
        return self.folder / "pico.yaml"

    def edit(self, old: str, new: str) -> None:
        text = self.recipe.read_text()
        assert old in text
        self.recipe.write_text(text.replace(old, new))

    def start(self, *words: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "khichdi.cli", *words]
        return subprocess.Popen(
            command,
            cwd=self.folder,
            env=self.variables(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def variables(self) -> dict[str, str]:
        return {**os.environ, "KHICHDI_STORE": str(self.folder / "store"), **self.environment}

    def call(self, *words: str) -> tuple[int, str, str]:
        server, variables = command_server(), self.variables()
        if server.serves(variables):
            status, out, err = server.call(words, self.folder, variables)
        else:
            process = self.start(*words)
            out, err = process.communicate()
            status = process.returncode
        assert "Traceback" not in out + err, out + err
        return status, out, err

    def json(self, *words: str, status: int = 0) -> Any:
        code, out, err = self.call(*words, "--json")
        assert code == status, out + err
        return json.loads(out)

    def ran(self, document: Any) -> list[str]:
        return [step["name"] for step in document["steps"] if step["status"] == "ran"]


def make_workdir(folder: Path, base: Path) -> Workdir:
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copytree(base, folder / "base")
    (folder / "capitals.jsonl").write_text(rows("a capital", 30))
    (folder / "colours.jsonl").write_text(rows("a colour", 12))
    (folder / "pico.yaml").write_text(RECIPE)
    return Workdir(folder)


@pytest.fixture
def workdir(tmp_path: Path, tiny_base: Path) -> Workdir:
    return make_workdir(tmp_path / "workdir", tiny_base)


@pytest.fixture(scope="session")
def shared_run(tmp_path_factory: pytest.TempPathFactory, tiny_base: Path) -> tuple[Workdir, Any]:
    """Return a workdir whose recipe ran once, and what the run said. Do not change it: copy it."""
    workdir = make_workdir(tmp_path_factory.mktemp("shared_run") / "workdir", tiny_base)
    process = workdir.start(
        "run", "pico.yaml", "--json"
    )  # all that was preloaded is compared to it
    out, err = process.communicate()
    assert process.returncode == 0, err
    return workdir, json.loads(out)


@pytest.fixture
def own_run(shared_run: tuple[Workdir, Any], tmp_path: Path) -> tuple[Workdir, Any]:
    """Return a copy of the workdir that ran, to change and run again."""
    workdir, document = shared_run
    shutil.copytree(workdir.folder, tmp_path / "workdir")
    return Workdir(tmp_path / "workdir"), document
