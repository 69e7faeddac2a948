"""Keys of evaluations: what an evaluator reads is in them, and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from khichdi.compiler.lower import lower
from khichdi.plugins.registry import load_registry
from khichdi.project.validation import validate_recipes
from khichdi.schema.plan import Plan

from bound import load_bound, write  # isort: skip

STEP = """\
evaluate:
  - use: lm-eval
    harness: {harness}
    tasks: [{tasks}]
    limit: {limit}
    num_fewshot: {shots}
    fewshot_seed: {seed}
    data: {{{data}}}
"""
SETTINGS = {
    "harness": "0.4.13", "tasks": "gsm8k", "limit": "8", "shots": "2", "seed": "1234",
    "data": "gsm8k: {use: files, include: [gsm8k]}",
}  # fmt: skip


def plan(folder: Path, train: str = "sequence_len: 1024", **changes: str) -> Plan:
    more = STEP.format(**{**SETTINGS, **changes})
    _, recipe = load_bound(write(folder, train=train, more=more))
    return lower(recipe, load_registry(), None)


def keys(found: Plan) -> tuple[str, str]:
    return tuple(found.step(f"evaluate/lm-eval/{side}").key for side in ("base", "adapter"))  # type: ignore[return-value]


def test_data_of_tasks_are_sources_of_the_evaluation(tmp_path: Path) -> None:
    data = "gsm8k: {use: files, include: [a]}, mmlu: {use: huggingface, repo: cais/mmlu}"
    found = plan(tmp_path, tasks="gsm8k, mmlu_anatomy", data=data)
    step = found.step("evaluate/lm-eval/adapter")
    assert dict(step.inputs) == {
        "base": "base#files",
        "adapter": "train#adapter",
        "data/gsm8k": "evaluate/lm-eval/data/gsm8k#files",
        "data/mmlu": "evaluate/lm-eval/data/mmlu#files",
    }
    assert found.step("evaluate/lm-eval/data/mmlu").plugin.params["repo"] == "cais/mmlu"
    assert set(step.parts) == {"quantizer"}


@pytest.mark.parametrize(
    "changes",
    [
        {"harness": "0.4.14"}, {"tasks": "gsm8k, gsm8k_cot"}, {"limit": "9"}, {"limit": "null"},
        {"shots": "3"}, {"shots": "null"}, {"seed": "1"},
        {"data": "gsm8k: {use: files, include: [other]}"},
    ],
    ids=str,
)  # fmt: skip
def test_what_can_change_a_score_changes_both_keys(tmp_path: Path, changes: dict[str, str]) -> None:
    before, after = keys(plan(tmp_path)), keys(plan(tmp_path, **changes))
    assert before[0] != after[0]
    assert before[1] != after[1]


def test_training_changes_no_key_of_the_base_alone(tmp_path: Path) -> None:
    before = keys(plan(tmp_path))
    after = keys(plan(tmp_path, train="sequence_len: 512"))
    assert before[0] == after[0]
    assert before[1] != after[1]


def test_no_validation_set_is_needed_where_no_row_is_used(tmp_path: Path) -> None:
    path = write(tmp_path, more=STEP.format(**SETTINGS))
    path.write_text(path.read_text().replace("mixture: {validation: {count: 100}}\n", ""))
    assert not validate_recipes([str(path)]).errors
    path.write_text(path.read_text() + "  - {use: generate}\n")
    (error,) = validate_recipes([str(path)]).errors
    assert error.code == "no-validation"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"harness": "'main'"}, "`harness`"),
        ({"tasks": ""}, "`tasks`"),
        ({"tasks": "'../x'"}, "tasks"),
        ({"data": ""}, "`data`"),
        ({"data": "gsm8k: {use: filez}"}, "no source named `filez` is installed"),
        (
            {"data": "gsm8k: {use: files, include: [a], foldr: x}"},
            "unknown parameter `foldr` of source `files`",
        ),
    ],
    ids=str,
)
def test_what_is_wrong_is_reported(tmp_path: Path, changes: dict[str, str], message: str) -> None:
    path = write(tmp_path, more=STEP.format(**{**SETTINGS, **changes}))
    errors: Any = validate_recipes([str(path)]).errors
    assert len(errors) == 1
    assert message in errors[0].message
