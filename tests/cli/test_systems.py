"""The recipes of the challenge's teams: the figures that the teams published, and what differs."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from khichdi.cli.main import main
from khichdi.project.bundled_recipes import shipped_folder, shipped_recipes

SYSTEMS = [path.stem for path in shipped_recipes() if path.stem.startswith(("birbal", "qwen", "n"))]
MODELINE = "# yaml-language-server: $schema={}schema/recipe-1.schema.json\n"

Ask = Callable[..., Any]


@pytest.fixture
def ask(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Ask:
    """Return a way to ask a command for its JSON document, from an empty folder."""
    monkeypatch.chdir(tmp_path)

    def asked(*words: str) -> Any:
        main([*words, "--json"])
        return json.loads(capsys.readouterr().out)

    return asked


@pytest.fixture
def real() -> Path:
    """Return the folder of real public data sets."""
    folder = os.environ.get("KHICHDI_TEST_DATA")
    if not folder:
        pytest.skip("KHICHDI_TEST_DATA names no folder with real data")
    return Path(folder)


def counts(recipe: Any) -> dict[str, int]:
    """Return how many rows each data set asks for, where it names a number."""
    samples = {name: item["sample"] for name, item in recipe["data"].items()}
    asked = {name: sample.get("count") or sample.get("total") for name, sample in samples.items()}
    return {name: count for name, count in asked.items() if count is not None}


def differences(document: Any, under: str = "") -> dict[str, tuple[Any, Any]]:
    changes = {
        change["path"]: (change["before"], change["after"]) for change in document["changes"]
    }
    return {path: values for path, values in changes.items() if path.startswith(under)}


def test_the_folders_of_fragments_are_those_of_families() -> None:
    folders = {path.name for path in shipped_folder().iterdir() if path.is_dir()}
    assert {"birbal", "qwen-14b"} <= folders
    assert len(SYSTEMS) == 5 + 6 + 7


@pytest.mark.parametrize("path", shipped_recipes(), ids=lambda path: path.stem)
def test_an_editor_finds_the_schema_of_every_recipe(path: Path) -> None:
    assert path.read_text().startswith(MODELINE.format("../"))


@pytest.mark.parametrize("name", SYSTEMS)
def test_every_data_set_has_a_licence_or_the_rule_says_so(name: str, ask: Ask) -> None:
    recipe = ask("show", name)
    undeclared = {key for key, item in recipe["data"].items() if item["license"] is None}
    assert undeclared <= {"codegen"}  # the paper names none
    assert recipe["model"]["license"]
    assert recipe["rules"]


# ---- Birbal: arXiv 2403.02247, Table 1 ------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "natural", "news", "mathematics", "epochs"),
    [
        ("birbal-200k", 50_000, 15_000, 50_000, 3),
        ("birbal-400k", 110_000, 28_000, 100_000, 2),
        ("birbal-700k", 220_000, 28_000, 200_000, 1),
    ],
)
def test_birbal_has_the_counts_of_its_table(
    name: str, natural: int, news: int, mathematics: int, epochs: int, ask: Ask
) -> None:
    recipe = ask("show", name)
    assert counts(recipe) == {
        "ni-exact-match": natural,
        "ni-generation": natural,
        "openbookqa": 5_000,
        "quac": 10_000,
        "cnn-dailymail": news,
        "math-instruct": mathematics,
    }
    whole = {name for name, item in recipe["data"].items() if item["sample"]["use"] == "all"}
    assert whole == {"lima", "open-platypus"}  # all of them: 1K and 25K in the table
    said = int(name[7:10]) * 1_000
    assert sum(counts(recipe).values()) + 26_000 == pytest.approx(said, rel=0.04)
    assert recipe["train"]["num_epochs"] == epochs


def test_birbal_splits_the_selected_tasks_in_two(ask: Ask) -> None:
    data = ask("show", "birbal-200k")["data"]
    exact, other = (
        set(data[name]["read"]["tasks"]) for name in ("ni-exact-match", "ni-generation")
    )
    assert len(exact) + len(other) == 462
    assert not exact & other
    assert {"task363_sst2_polarity_classification", "task094_conala_calculate_mean"} <= exact
    assert {
        "task511_reddit_tifu_long_text_summarization",
        "task080_piqa_answer_generation",
    } <= other
    assert not any("mmmlu" in task for task in exact | other)
    assert data["ni-exact-match"]["score"]["metric"] == "exact-match"
    assert data["ni-generation"]["score"]["metric"] == "rouge-l"


def test_the_label_of_a_task_is_that_of_its_answers(ask: Ask, real: Path) -> None:
    """A task whose every answer is one word is no generation, and long answers are no match."""
    data = ask("show", "birbal-200k")["data"]
    exact, other = (
        set(data[name]["read"]["tasks"]) for name in ("ni-exact-match", "ni-generation")
    )
    seen = set()
    for file in sorted((real / "natural_instructions").glob("*.json")):
        instances = json.loads(file.read_text())["Instances"]
        answers = [item["output"] for item in instances]
        words = [len(str(a[0] if isinstance(a, list) else a).split()) for a in answers]
        if file.stem in exact:
            assert sum(words) / len(words) <= 3, file.stem
            seen.add("exact")
        elif file.stem in other:
            assert max(words) > 1, file.stem
            seen.add("other")
    assert seen == {"exact", "other"}


def test_the_larger_sizes_differ_in_counts_and_epochs_alone(ask: Ask) -> None:
    assert set(differences(ask("diff", "birbal-200k", "birbal-400k"))) == {
        "data.cnn-dailymail.sample.count",
        "data.math-instruct.sample.count",
        "data.ni-exact-match.sample.factor",
        "data.ni-exact-match.sample.total",
        "data.ni-generation.sample.total",
        "train.num_epochs",
    }
    assert "data.cnn-dailymail.sample.count" not in differences(
        ask("diff", "birbal-400k", "birbal-700k")
    )


def test_the_code_differs_from_the_paper_where_it_is_known_to(ask: Ask) -> None:
    document = ask("diff", "birbal-200k", "birbal-200k-as-coded")
    assert differences(document, "train.") == {
        "train.gradient_accumulation_steps": (3, 4),
        "train.max_grad_norm": (1.0, 0.3),
    }
    assert differences(document, "data.ni-exact-match.sample") == {
        "data.ni-exact-match.sample.drop_below": (0.1, None),
        "data.ni-exact-match.sample.keep": ("all", "wrong"),
    }
    before, after = differences(document, "data.ni-generation.sample")[
        "data.ni-generation.sample.fractions"
    ]
    assert after == [2 * part for part in before]
    assert differences(document, "mixture.validation") == {
        "mixture.validation.count": (2000, None),
        "mixture.validation.fraction": (None, 0.02),
    }
    assert not differences(document, "model")


# ---- Qwen-14B -------------------------------------------------------------------------------


def test_qwen_trains_what_its_modules_were_called_elsewhere(ask: Ask) -> None:
    """40 layers; r 16 on the six kinds of matrices of Qwen-14B, q, k and v counted apart."""
    width, middle = 5120, 13696
    attention, feed_forward = 4 * (width + width), 3 * (width + middle)
    estimate = ask("plan", "qwen-14b-most-precious")["estimate"]
    assert estimate["trained"] == 40 * 16 * (attention + feed_forward)
    assert estimate["parameters"] == 14_167_290_880
    assert estimate["steps"] == 1_000
    assert estimate["gpu_memory_bytes"] < 24 * 2**30


def test_the_precious_family_reads_as_its_differences(ask: Ask) -> None:
    base = "qwen-14b-most-precious"
    assert differences(ask("diff", base, f"{base}-neft")) == {
        "train.neftune_noise_alpha": (None, 5)
    }
    assert differences(ask("diff", base, f"{base}-4")) == {
        "data.cnn-dailymail.sample.count": (5000, 1200)
    }
    recipe = ask("show", f"{base}-5")
    assert set(recipe["data"]) == {"bbq", "oasst1", "truthfulqa"}
    assert [step["use"] for step in recipe["data"]["oasst1"]["filters"]] == ["refusals"]
    assert recipe["data"]["bbq"]["sample"] == {
        "use": "per-group", "by": "task", "count": None, "fraction": 0.08, "short": "error",
    }  # fmt: skip


def test_second_qa_has_the_counts_of_the_readme(ask: Ask) -> None:
    assert counts(ask("show", "qwen-14b-second-qa")) == {
        "qcm": 1500, "gsm8k": 1000, "strategyqa": 1000, "lima": 1000, "nli": 500, "summary": 800,
    }  # fmt: skip
    document = ask("diff", "qwen-14b-oasst-strategy", "qwen-14b-second-qa")
    assert differences(document, "train") == {"train.gradient_accumulation_steps": (16, 32)}


# ---- nextAI: its Tables 7 and 9 -------------------------------------------------------------

PLATYPUS, DOLLY, CODE, TALKS = "filtering-platypus", "dolly", "codegen", "faithdial"


@pytest.mark.parametrize(
    ("version", "data"),
    [
        (1, {PLATYPUS}),
        (2, {PLATYPUS, DOLLY, CODE, TALKS, "multi-news"}),
        (3, {PLATYPUS, DOLLY, CODE, TALKS, "multi-news"}),
        (4, {PLATYPUS, DOLLY, CODE, TALKS, "multi-news"}),
        (5, {PLATYPUS, DOLLY, CODE, TALKS, "multi-news", "lima"}),
        (6, {PLATYPUS, DOLLY, CODE, "lima"}),
        (7, {PLATYPUS, DOLLY, CODE, "lima", "flan-cot"}),
    ],
)
def test_nextai_has_the_data_of_its_versions(version: int, data: set[str], ask: Ask) -> None:
    recipe = ask("show", f"nextai-llama-2-70b-v{version}")
    assert set(recipe["data"]) == data
    assert recipe["train"]["num_epochs"] == (2 if version == 3 else 1)
    parts = {name: item["sample"].get("fraction") for name, item in recipe["data"].items()}
    more = 2 if version == 4 else 1
    assert parts.get(CODE, 0.1) == 0.1
    assert parts.get(TALKS, 0.2 * more) == 0.2 * more
    assert parts.get("multi-news", 0.1 * more) == 0.1 * more


def test_nextai_trains_what_its_paper_reports(ask: Ask) -> None:
    estimate = ask("plan", "nextai-llama-2-70b-v5", "--device", "a100-40gb")["estimate"]
    assert estimate["trained"] == 17_039_360
    assert round(100 * estimate["trained"] / estimate["parameters"], 4) == 0.0247
    reported = 39.56 * 2**30
    assert abs(estimate["gpu_memory_bytes"] - reported) < 0.1 * reported
