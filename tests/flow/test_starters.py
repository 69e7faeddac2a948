"""A recipe in which every plugin comes from `recipe plugins new` runs, is cached and is audited."""

from __future__ import annotations

from pathlib import Path

import pytest

from khichdi.plugins.kinds import KINDS

from .conftest import Workdir

RECIPE = """\
recipe: 1
name: own
seed: 5
plugins: [{files}]
model:
  base: {{use: files, folder: base, include: ["*"]}}
  quantization: {{use: own-quantizer}}
  adapter: {{use: own-adapter}}
data:
  questions:
    source: {{use: own-source, file: questions.tsv}}
    read: {{use: own-reader}}
    filters: [{{use: own-filter}}]
    score: {{use: own-scorer}}
    sample: {{use: own-sampler, count: 30}}
mixture: {{validation: {{count: 6}}}}
train:
  use: own-runtime
  template: {{use: own-template}}
  sequence_len: 96
  num_epochs: 4
  learning_rate: 1.0e-2
  cpu_threads: 1
evaluate: [{{use: own-evaluator, cpu_threads: 1}}]
export: [{{use: own-exporter}}]
rules: [{{use: own-rule}}]
"""


def make(workdir: Workdir) -> Path:
    for kind in KINDS:
        code, _, err = workdir.call("plugins", "new", f"own-{kind}", "--kind", kind, "--file")
        assert code == 0, err
    lines = [f"How much is {n} and {n}?\tIt is {2 * n}.\n" for n in range(40)]
    (workdir.folder / "questions.tsv").write_text("".join([*lines, "HOW MUCH IS IT?\tNothing.\n"]))
    files = ", ".join(f"./own_{kind}.py" for kind in KINDS)
    recipe = workdir.folder / "own.yaml"
    recipe.write_text(RECIPE.format(files=files))
    return recipe


@pytest.mark.slow
def test_a_recipe_of_own_plugins_of_every_kind(workdir: Workdir) -> None:
    recipe = str(make(workdir))
    first = workdir.json("run", recipe)
    assert {step["status"] for step in first["steps"]} == {"ran"}
    assert first["metrics"]["perplexity"] < first["metrics"]["perplexity_before"]
    assert first["metrics"]["eval_loss"] < first["metrics"]["eval_loss_before"]

    again = workdir.json("run", recipe)
    assert {step["status"] for step in again["steps"]} == {"cached"}
    assert again["result_hash"] == first["result_hash"]

    code, out, err = workdir.call("audit", "latest", "--rerun")
    assert code == 0, err
    assert "unverifiable" in out  # nobody's code runs unasked
    code, out, err = workdir.call("audit", "latest", "--rerun", "--allow-local-plugins")
    assert code == 0, err
    assert "PASSED" in out
