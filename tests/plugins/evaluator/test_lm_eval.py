"""The `lm-eval` evaluator gives the harness's own numbers, from pinned files and nothing else."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from harness_data import lines, write_gsm8k, write_mmlu, write_truthfulqa

from khichdi.plugins import EvaluationJob
from khichdi.plugins.builtin.evaluator.harness import installed
from khichdi.plugins.builtin.evaluator.lm_eval import LmEval
from khichdi.plugins.builtin.evaluator.lm_eval_params import LmEvalParams
from khichdi.plugins.builtin.quantizer.none import NoneParams, NoQuantizer
from khichdi.plugins.testing.access import forbidden_access
from khichdi.schema.errors import StepError
from khichdi.schema.rows import row_schema

pytest.importorskip("lm_eval")
pytestmark = pytest.mark.heavy

RELEASE = version("lm-eval")
NOTHING: Any = None


def params(**changes: Any) -> LmEvalParams:
    settings: dict[str, Any] = {"harness": RELEASE, "tasks": ("gsm8k",), "cpu_threads": 1}
    return LmEvalParams(**{**settings, "limit": 3, "max_gen_toks": 8, **changes})


def job(base: Path, data: Mapping[str, Path], **changes: Any) -> EvaluationJob:
    made = EvaluationJob(
        base=base,
        adapter=None,
        rows=row_schema().empty_table(),
        template=NOTHING,
        quantizer=NoQuantizer(NoneParams(dtype="float32")),
        seed=0,
        files={"data": data},
    )
    return replace(made, **changes)


@pytest.fixture(scope="module")
def questions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return hand-made data in the layout of GSM8K and of two subjects of MMLU."""
    folder = tmp_path_factory.mktemp("questions")
    for split, count in (("train", 6), ("test", 4)):
        rows = [{"question": f"{n} + {n}?", "answer": f"#### {2 * n}"} for n in range(count)]
        lines(folder / "gsm8k" / f"{split}.jsonl", rows)
    for subject in ("anatomy", "marketing"):
        for split in ("dev", "test"):
            rows = [
                {"question": f"{subject} {n}?", "choices": list("abcd"), "answer": n % 4}
                for n in range(5)
            ]
            lines(folder / "mmlu" / split / f"{subject}_{split}.jsonl", rows)
    return folder


# ---- numbers --------------------------------------------------------------------------------


@pytest.mark.skipif("KHICHDI_TEST_DATA" not in os.environ, reason="no real data here")
@pytest.mark.slow
def test_the_numbers_are_those_of_the_harness_run_by_hand(tiny_base: Path, tmp_path: Path) -> None:
    """By hand: the harness loads the model, and reads JSON by its own `data_files`."""
    import torch
    from lm_eval.evaluator import simple_evaluate

    real = Path(os.environ["KHICHDI_TEST_DATA"])
    write_mmlu(real, tmp_path / "mmlu", ["anatomy"], 6)
    write_gsm8k(real, tmp_path / "gsm8k", 6)
    write_truthfulqa(real, tmp_path / "truthfulqa", 6)
    splits = {
        "mmlu_anatomy": {"dev": "mmlu/anatomy/dev", "test": "mmlu/anatomy/test"},
        "gsm8k": {"train": "gsm8k/train", "test": "gsm8k/test"},
        "truthfulqa_mc1": {"validation": "truthfulqa/validation"},
        "truthfulqa_mc2": {"validation": "truthfulqa/validation"},
    }
    tasks = [
        {
            "task": task,
            "dataset_path": "json",
            "dataset_name": None,
            "dataset_kwargs": {
                "data_files": {s: str(tmp_path / f"{path}.jsonl") for s, path in files.items()}
            },
        }
        for task, files in splits.items()
    ]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        by_hand = simple_evaluate(
            model="hf",
            model_args={"pretrained": str(tiny_base), "dtype": "float32"},
            tasks=[{"group": "all", "task": tasks}],
            num_fewshot=1,
            batch_size=2,
            device="cpu",
            limit=4,
            bootstrap_iters=0,
            gen_kwargs={"max_gen_toks": 8},
        )
    finally:
        torch.set_num_threads(threads)
    assert by_hand is not None
    asked = params(tasks=tuple(splits), limit=4, num_fewshot=1, batch_size=2)
    data = {name: tmp_path / name for name in ("mmlu", "gsm8k", "truthfulqa")}
    found = LmEval(asked).evaluate(job(tiny_base, data))
    expected = {
        f"{task}.{key.replace(',none', '')}": value
        for task, figures in by_hand["results"].items()
        for key, value in figures.items()
        if task != "all" and "," in key and isinstance(value, float)
    }
    assert found.metrics == expected
    assert set(expected) == {
        "mmlu_anatomy.acc", "truthfulqa_mc1.acc", "truthfulqa_mc2.acc",
        "gsm8k.exact_match,strict-match", "gsm8k.exact_match,flexible-extract",
    }  # fmt: skip
    answers = {one["id"]: one for one in found.predictions}
    for task in splits:
        for sample in by_hand["samples"][task]:
            mine = answers[f"{task}/{sample['doc_id']}"]
            assert mine["prompt"] == sample["arguments"][0][0]
            if task == "gsm8k":
                assert mine["prediction"] == sample["resps"][0][0]
                assert mine["filtered"][sample["filter"]] == sample["filtered_resps"][0]
            else:
                tried = [response[0][0] for response in sample["resps"]]
                assert [one["loglikelihood"] for one in mine["choices"]] == tried
                assert mine["acc"] == sample["acc"]
    assert len(answers) == 16


def test_scores_follow_from_the_predictions_and_nothing_reaches_the_network(
    tiny_base: Path, questions: Path
) -> None:
    asked = params(tasks=("gsm8k", "mmlu_anatomy", "mmlu_marketing"))
    plugin = LmEval(asked)
    data = {"gsm8k": questions / "gsm8k", "mmlu": questions / "mmlu"}
    seen: list[int] = []
    watched = job(tiny_base, data, report=lambda progress: seen.append(progress.done))
    with forbidden_access(LmEval, frozenset({"network"})):
        found = plugin.evaluate(watched)
    assert plugin.metrics_of(found.predictions) == pytest.approx(found.metrics)
    assert found == plugin.evaluate(job(tiny_base, data))
    assert seen == sorted(seen)
    assert seen[-1] == 9
    assert len(found.predictions) == 9
    (first,) = [one for one in found.predictions if one["id"] == "mmlu_marketing/1"]
    assert first["references"] == ["B"]
    assert "marketing 1?" in first["prompt"]
    assert first["group"] == "mmlu_marketing"
    assert [one["text"] for one in first["choices"]] == [" A", " B", " C", " D"]
    assert json.loads(json.dumps(found.predictions)) == found.predictions


# ---- tasks and their data -------------------------------------------------------------------


def load(tmp_path: Path, data: Mapping[str, Path], **changes: Any) -> Any:
    from khichdi.plugins.builtin.evaluator.harness.evaluation import load_tasks, offline

    with offline(), forbidden_access(LmEval, frozenset({"network"})):
        return load_tasks(params(**changes), data, tmp_path / "prepared")["tasks"]


@pytest.mark.slow
def test_a_group_and_a_tag_are_all_of_their_tasks(tmp_path: Path) -> None:
    rows = [{"question": "q?", "choices": list("abcd"), "answer": 0}]
    from khichdi.plugins.builtin.evaluator.harness.evaluation import _leaves, _manager

    leaves = list(_leaves(_manager(("mmlu_stem",)), "mmlu_stem"))
    for leaf in leaves:
        for split in leaf.splits:
            lines(tmp_path / "mmlu" / str(leaf.config) / f"{split}.jsonl", rows)
    loaded = load(tmp_path, {"mmlu": tmp_path / "mmlu"}, tasks=("mmlu_stem",))
    assert set(loaded) == {leaf.task for leaf in leaves}
    assert len(loaded) == 19
    assert {task.dataset["test"].num_rows for task in loaded.values()} == {1}


def test_each_configuration_has_its_own_files(tmp_path: Path, questions: Path) -> None:
    tasks = ("mmlu_anatomy", "mmlu_marketing")
    loaded = load(tmp_path, {"mmlu": questions / "mmlu"}, tasks=tasks)
    for name, task in loaded.items():
        subject = name.removeprefix("mmlu_")
        assert {row["question"] for row in task.dataset["test"]} == {
            f"{subject} {n}?" for n in range(5)
        }


def test_a_card_of_the_data_set_decides(tmp_path: Path, questions: Path) -> None:
    folder = tmp_path / "data"
    shutil.copytree(questions / "gsm8k", folder)
    (folder / "test.jsonl").rename(folder / "other.jsonl")
    card = (
        "---\nconfigs:\n- config_name: main\n  data_files:\n  - {split: train, path: train.jsonl}\n"
    )
    (folder / "README.md").write_text(card + "  - {split: test, path: other.jsonl}\n---\n# Card\n")
    task = load(tmp_path, {"gsm8k": folder})["gsm8k"]
    assert task.dataset["test"].num_rows == 4


@pytest.mark.parametrize(
    ("changes", "message", "hint"),
    [
        pytest.param(
            {"tasks": ("gsm9k",)},
            "the harness has no task `gsm9k`",
            "lm-eval ls tasks",
            marks=pytest.mark.slow,
        ),
        ({"tasks": ("gsm8k", "boolq")}, "task `boolq` has no data", "`data: {boolq: {use:"),
        ({"tasks": ("mmlu_virology",)}, "reads the split `test` of cais/mmlu", "name files by"),
    ],
)
def test_what_a_task_lacks_is_said(
    tmp_path: Path, questions: Path, changes: dict[str, Any], message: str, hint: str
) -> None:
    data = {"gsm8k": questions / "gsm8k", "mmlu": tmp_path / "none"}
    (tmp_path / "none").mkdir()
    with pytest.raises(StepError) as caught:
        load(tmp_path, data, **changes)
    assert message in caught.value.message
    assert hint in str(caught.value.hint)


def test_what_is_not_pinned_is_not_fetched() -> None:
    import datasets

    from khichdi.plugins.builtin.evaluator.harness.evaluation import offline

    with (
        offline(),
        forbidden_access(LmEval, frozenset({"network"})),
        pytest.raises(Exception, match=r"(?i)offline|couldn't|connect"),
    ):
        datasets.load_dataset("openai/gsm8k", "main")


# ---- the release ----------------------------------------------------------------------------


def test_another_release_is_refused(tiny_base: Path, questions: Path) -> None:
    with pytest.raises(StepError, match=rf"asks for lm-eval 0\.3\.0, and {RELEASE} is installed"):
        LmEval(params(harness="0.3.0")).evaluate(job(tiny_base, {"gsm8k": questions / "gsm8k"}))


def test_a_task_that_was_edited_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = installed.distribution("lm-eval")
    place = tmp_path / "site"
    for name in ("lm_eval/evaluator.py", "lm_eval/tasks/gsm8k/gsm8k.yaml"):
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(Path(str(found.locate_file(name))), place / name)
    kept = [one for one in found.files or () if (place / str(one)).is_file()]
    assert len(kept) == 2

    class Moved:
        version = RELEASE
        files = kept

    for one in kept:
        monkeypatch.setattr(one, "dist", _locating(place), raising=False)
    monkeypatch.setattr(installed, "distribution", lambda _: Moved)
    installed.check_release(RELEASE)
    task = place / "lm_eval/tasks/gsm8k/gsm8k.yaml"
    task.write_text(task.read_text().replace("num_fewshot: 5", "num_fewshot: 8"))
    with pytest.raises(StepError, match=r"gsm8k\.yaml is not as lm-eval"):
        installed.check_release(RELEASE)


def _locating(place: Path) -> Any:
    class Located:
        locate_file: Callable[[Any, Any], Path] = staticmethod(lambda name: place / str(name))  # type: ignore[assignment]

    return Located
