"""Scores by the base model's answers after a few solved rows."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import jobs
import pyarrow as pa
import pytest
import scoring
import torch
from hypothesis import given
from hypothesis import strategies as st
from scoring import questions, score

from khichdi.plugins import StepError
from khichdi.plugins.builtin.scorer.few_shot import FewShotParams
from khichdi.plugins.builtin.scorer.few_shot_prompts import Prompt, Prompter
from khichdi.plugins.toolkit.generation import Generator
from khichdi.plugins.toolkit.model_loading import load_model, load_tokenizer
from khichdi.plugins.toolkit.text_metrics import exact_match, rouge_l

TABLE = questions({"a": 17, "b": 9, "lone": 1})


def prompts(base: Path, table: pa.Table, seed: int = 57, **params: Any) -> dict[str, Prompt]:
    prompter = Prompter(
        FewShotParams(**{"metric": "rouge-l", **params}), load_tokenizer(base), seed
    )
    found = [p for task in prompter.batches(table) for batch in task for p in batch]
    return {prompt.id: prompt for prompt in found}


def text(base: Path, prompt: Prompt) -> str:
    decoded: str = load_tokenizer(base).decode(prompt.shared + prompt.own)
    return decoded.removeprefix("<s>")


def test_a_prompt_has_instruction_once_solved_rows_and_the_row(tiny_base: Path) -> None:
    found = prompts(tiny_base, questions({"a": 3}), shots=2, preamble="Hello.\n\n")
    written = text(tiny_base, found["ni/a.json#1"])
    head = "Hello.\n\n### Instruction:\nDo a.\n\n"
    zero = "### Input:\n0 \n\n### Response:\nanswer 0\n\n"
    two = f"### Input:\n2 {'is the one ' * 2}\n\n### Response:\nanswer 2\n\n"
    own = "### Input:\n1 is the one \n\n### Response:\n"
    assert written in (head + zero + two + own, head + two + zero + own)


def test_solved_rows_are_of_the_task_and_never_ask_what_the_row_asks(tiny_base: Path) -> None:
    table = questions({"a": 12, "b": 12})
    inputs = table.column("input").to_pylist()
    inputs[3] = inputs[5] = inputs[1].upper()  # the same question in other rows
    table = table.set_column(table.schema.get_field_index("input"), "input", pa.array(inputs))
    for seed in range(12):
        found = prompts(tiny_base, table, seed=seed, shots=4)
        for row in table.to_pylist():
            prompt = found[row["id"]]
            solved = text(tiny_base, prompt).lower().split("### input:\n")[1:-1]
            assert len(solved) == 4
            asked = row["input"].strip().lower()
            assert asked not in [one.split("\n\n### response")[0].strip() for one in solved]
            assert f"do {row['task']}." in text(tiny_base, prompt).lower()


def test_neither_order_nor_other_tasks_change_a_prompt_and_a_seed_does(
    tiny_base: Path,
) -> None:
    before = prompts(tiny_base, questions({"a": 9}))
    more = questions({"new": 7, "a": 9})
    turned = more.take(list(reversed(range(more.num_rows))))
    after = prompts(tiny_base, turned)
    for row, prompt in before.items():
        assert (after[row].shared, after[row].own) == (prompt.shared, prompt.own)
    other = prompts(tiny_base, questions({"a": 9}), seed=58)
    assert any(other[row].shared != before[row].shared for row in before)


def test_too_long_prompts_lose_solved_rows_then_the_rows_end(tiny_base: Path) -> None:
    table = questions({"a": 6})
    whole = prompts(tiny_base, table, shots=2, preamble="")
    longest = max(len(p.shared) + len(p.own) for p in whole.values())
    fewer = prompts(tiny_base, table, shots=2, preamble="", max_prompt_tokens=longest - 1)
    assert all(len(p.shared) + len(p.own) < longest for p in fewer.values())
    assert min(text(tiny_base, p).count("### Input") for p in fewer.values()) == 2
    prompter = Prompter(
        FewShotParams(metric="rouge-l", shots=2, preamble="", max_prompt_tokens=40),
        load_tokenizer(tiny_base),
        57,
    )
    found = [p for task in prompter.batches(table) for batch in task for p in batch]
    assert max(len(p.shared) + len(p.own) for p in found) == 40
    assert (prompter.remarks.fewer_shots, prompter.remarks.cut > 0) == (6, True)
    assert all(text(tiny_base, p).endswith("### Response:\n") for p in found)


def test_padded_prompts_after_shared_ones_answer_as_each_alone(tiny_base: Path) -> None:
    """Against transformers' own generation, one prompt at a time, in full precision."""
    model, tokenizer = load_model(tiny_base, jobs.FULL), load_tokenizer(tiny_base)
    generator = Generator(model, tokenizer, max_new_tokens=8, stop=None)
    draw = random.Random(1)
    shared = [0] + [draw.randrange(3, 384) for _ in range(20)]
    own = [[draw.randrange(3, 384) for _ in range(n)] for n in (1, 5, 5, 12, 30)]
    alone = []
    for ids in own:
        whole = torch.tensor([[*shared, *ids]])
        mask = torch.ones_like(whole)
        made = model.generate(whole, attention_mask=mask, max_new_tokens=8, do_sample=False)
        alone.append(tokenizer.decode(made[0, whole.shape[1] :], skip_special_tokens=True))
    assert len(set(alone)) > 2
    assert generator.answers(own, shared) == alone
    assert generator.answers([[*shared, *ids] for ids in own]) == alone


def test_scores_are_those_of_the_answers(tiny_base: Path, tmp_path: Path) -> None:
    found = score(tiny_base, tmp_path / "w", TABLE, max_new_tokens=20)
    assert found.predictions is not None
    for row, answer, value in zip(TABLE.to_pylist(), found.predictions, found.values, strict=True):
        assert answer is not None
        assert "\n\n" not in answer
        assert value == rouge_l(answer, row["references"], full_stops=False)
    mean = sum(v for v in found.values if v is not None) / TABLE.num_rows
    assert found.metrics["rouge_l"] == pytest.approx(mean)
    assert found.metrics["prompts_with_fewer_shots"] == 1  # the lone row has no other
    right = score(tiny_base, tmp_path / "x", with_answers(TABLE, found), metric="exact-match",
                  max_new_tokens=20)  # fmt: skip
    assert right.values == [1.0] * TABLE.num_rows


def with_answers(table: pa.Table, found: Any) -> pa.Table:
    """Return the table with the model's own answers as references."""
    column = pa.array([["x", answer] for answer in found.predictions], pa.list_(pa.string()))
    return table.set_column(table.schema.get_field_index("references"), "references", column)


@pytest.mark.slow
@pytest.mark.parametrize("quantizer", [jobs.FULL, jobs.NF4], ids=["full", "nf4"])
def test_workers_order_and_other_tasks_change_no_number(
    tiny_base: Path, tmp_path: Path, quantizer: Any
) -> None:
    one = score(tiny_base, tmp_path / "1", TABLE, quantizer=quantizer)
    order = list(range(TABLE.num_rows))
    random.Random(5).shuffle(order)
    more = pa.concat_tables([TABLE.take(order), questions({"other": 5})])
    two = score(tiny_base, tmp_path / "2", more, quantizer=quantizer, workers=2)
    assert two.predictions is not None
    assert one.predictions is not None
    places = {row: place for place, row in enumerate(order)}
    for row in range(TABLE.num_rows):
        assert two.predictions[places[row]] == one.predictions[row]
        assert two.values[places[row]] == one.values[row]


def test_some_rows_per_task_are_scored_and_the_others_have_no_number(
    tiny_base: Path, tmp_path: Path
) -> None:
    found = score(tiny_base, tmp_path / "w", TABLE, rows_per_task=3)
    tasks = TABLE.column("task").to_pylist()
    scored = [task for task, value in zip(tasks, found.values, strict=True) if value is not None]
    assert sorted(scored) == ["a"] * 3 + ["b"] * 3 + ["lone"]
    fewer = score(tiny_base, tmp_path / "v", TABLE, rows_per_task=2)
    assert {i for i, v in enumerate(fewer.values) if v is not None} < {
        i for i, v in enumerate(found.values) if v is not None
    }


@pytest.mark.nightly
@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_a_killed_run_goes_on_from_its_parts_to_the_same_numbers(
    tiny_base: Path, tmp_path: Path, workers: int
) -> None:
    tasks = {"a": 70, "b": 40}
    options: dict[str, Any] = {"tasks": tasks, "params": {"workers": workers}, "die_at": 33}

    def start(**changes: Any) -> subprocess.CompletedProcess[str]:
        words = [str(tiny_base), str(tmp_path / "killed"), json.dumps({**options, **changes})]
        return subprocess.run(
            [sys.executable, scoring.__file__, *words], capture_output=True, text=True, check=False
        )

    assert start().returncode == -9
    kept = list((tmp_path / "killed" / "parts").glob("*.json"))
    assert kept
    values, predictions, measured = json.loads(start(die_at=1 << 30).stdout)
    assert measured["rows_kept_from_earlier"] >= 33
    whole = score(tiny_base, tmp_path / "whole", questions(tasks))
    assert (values, predictions) == (list(whole.values), list(whole.predictions or ()))


def test_a_damaged_part_is_done_again(tiny_base: Path, tmp_path: Path) -> None:
    before = score(tiny_base, tmp_path, TABLE)
    parts = sorted((tmp_path / "parts").iterdir())
    parts[0].write_text(parts[0].read_text().replace('"values": [0.0', '"values": [1.0'))
    parts[1].write_text("{")
    again = score(tiny_base, tmp_path, TABLE)
    assert again.values == before.values
    assert again.measured["rows_kept_from_earlier"] < TABLE.num_rows


@pytest.mark.slow
def test_a_prompt_that_the_base_cannot_see_is_refused(tiny_base: Path, tmp_path: Path) -> None:
    with pytest.raises(StepError, match="more than the 2,048 tokens that the base"):
        score(tiny_base, tmp_path, TABLE, max_new_tokens=2040, workers=2)  # out of a worker too


@given(
    answer=st.text(alphabet="aB9. U,é", max_size=12),
    references=st.lists(st.text(alphabet="aB9. U,", max_size=12), min_size=1, max_size=3),
)
def test_rouge_l_is_that_of_the_rouge_score_package(answer: str, references: list[str]) -> None:
    from rouge_score.rouge_scorer import RougeScorer

    package = RougeScorer(["rougeL"])
    assert rouge_l(answer, references) == package.score_multi(references, answer)["rougeL"].fmeasure
    lower = [text.lower().replace(".", "") for text in references]
    found = package.score_multi(lower, answer.lower().replace(".", ""))["rougeL"].fmeasure
    assert rouge_l(answer, references, full_stops=False) == found


def test_an_exact_match_is_with_any_reference_after_what_is_asked() -> None:
    assert exact_match("Yes", ["no", "Yes"], "none") == 1
    assert [exact_match(" yes", ["Yes "], n) for n in ("none", "strip", "lower")] == [0, 0, 1]  # type: ignore[arg-type]
    assert exact_match(" Yes", ["Yes "], "strip") == 1
