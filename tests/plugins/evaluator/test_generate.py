"""Greedy answers and their scores."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jobs
import pyarrow as pa
import pytest
import torch

from khichdi.plugins import EvaluationJob, EvaluationResult, Progress, Segment, StepError, Template
from khichdi.plugins.builtin.adapter.lora import Lora, LoraParams
from khichdi.plugins.builtin.evaluator.generate import Generate, GenerateParams
from khichdi.plugins.toolkit.generation import same_length
from khichdi.plugins.toolkit.model_loading import encode_all, load_model, load_tokenizer
from khichdi.schema.rows import row_schema

COUNTRIES = ["France", "Italy", "Spain", "Peru", "Chad", "Cuba", "Iran", "Oman", "Togo", "Mali"]


class Colon(Template[Any]):
    """Put the instruction and the answer side by side."""

    name = "colon"

    def segments(self, row: Any, tokenizer: Any) -> list[Segment]:
        return [Segment(row["instruction"] + ":", False), Segment(row["output"], True)]


def rows(count: int = 10, **columns: Any) -> pa.Table:
    data = []
    for number in range(count):
        row: dict[str, Any] = {f.name: "" for f in row_schema() if f.type == pa.string()}
        row |= {f.name: [] for f in row_schema() if f.name not in row}
        country = COUNTRIES[number % len(COUNTRIES)]
        row |= {"id": f"geo/f.json#{number}", "instruction": f"Name {country}", "output": "Ok"}
        data.append(row | {"references": ["Ok", "Yes"]} | columns)
    return pa.Table.from_pylist(data, schema=row_schema())


def evaluate(base: Path, table: pa.Table, **options: Any) -> EvaluationResult:
    adapter = options.pop("adapter", None)
    report = options.pop("report", lambda _: None)
    settings = {"max_new_tokens": 6, "cpu_threads": 1, **options}
    job = EvaluationJob(
        base=base,
        adapter=adapter,
        rows=table,
        template=Colon(Colon.params_model()),
        quantizer=jobs.NF4,
        seed=57,
        report=report,
    )
    return Generate(GenerateParams(**settings)).evaluate(job)


@pytest.fixture(scope="module")
def answering(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an adapter that has learnt to answer `Ok`."""
    folder = tmp_path_factory.mktemp("answering")
    tokenizer = load_tokenizer(tiny_base)
    template = Colon(Colon.params_model())
    encoded = encode_all(
        [one for r in rows().to_pylist() for one in template.renderings(r, tokenizer)], tokenizer
    )
    ids = [token for row, _ in encoded for token in row]
    labels = [label for _, row in encoded for label in row]
    kind = pa.list_(pa.int32())
    train = pa.table(
        {
            "input_ids": pa.array([ids], kind),
            "labels": pa.array([labels], kind),
            "lengths": pa.array([[len(row) for row, _ in encoded]], kind),
        }
    )
    job = jobs.job(
        tiny_base,
        folder / "work",
        folder / "adapter",
        train=train,
        validation=jobs.packs(0),
        adapter=Lora(LoraParams(r=16)),
    )
    params = {"num_epochs": 60, "learning_rate": 3e-2, "neftune_noise_alpha": None}
    jobs.train(params, job)
    return folder / "adapter"


def test_a_trained_adapter_answers_and_the_base_does_not(tiny_base: Path, answering: Path) -> None:
    before = evaluate(tiny_base, rows())
    after = evaluate(tiny_base, rows(), adapter=answering)
    assert before.metrics["exact_match"] == 0.0
    assert after.metrics == {"exact_match": 1.0, "rouge_l": 1.0, "rows": 10.0}
    assert [p["id"] for p in after.predictions] == rows().column("id").to_pylist()
    assert {p["prediction"] for p in after.predictions} == {"Ok"}


def test_answers_are_the_same_again_and_reported(tiny_base: Path) -> None:
    seen: list[Progress] = []
    one = evaluate(tiny_base, rows(), report=seen.append)
    assert one == evaluate(tiny_base, rows(), weight_cache_gib=0)
    assert (seen[-1].done, seen[-1].total, seen[-1].unit) == (10, 10, "rows")


def test_answers_are_those_of_transformers(tiny_base: Path) -> None:
    from khichdi.plugins.toolkit.frozen_linear import install

    tokenizer = load_tokenizer(tiny_base)
    model = load_model(tiny_base, jobs.NF4)
    install(model, torch.bfloat16)
    answers = [p["prediction"] for p in evaluate(tiny_base, rows(4), batch_size=1).predictions]
    for number, answer in enumerate(answers):
        prompt = f"Name {COUNTRIES[number]}:"
        ids = torch.tensor([[tokenizer.bos_token_id, *tokenizer.encode(prompt)[1:]]])
        found = model.generate(
            ids, attention_mask=torch.ones_like(ids), max_new_tokens=6, do_sample=False
        )
        assert tokenizer.decode(found[0, ids.shape[1] :], skip_special_tokens=True) == answer


def test_any_reference_counts_and_case_only_where_asked(tiny_base: Path, answering: Path) -> None:
    table = rows(2, references=["no", " ok "])
    strict = evaluate(tiny_base, table, adapter=answering)
    loose = evaluate(tiny_base, table, adapter=answering, normalize="lower")
    assert (strict.metrics["exact_match"], loose.metrics["exact_match"]) == (0.0, 1.0)
    assert strict.metrics["rouge_l"] == 1.0


def test_an_answer_ends_at_the_stop_text(tiny_base: Path, answering: Path) -> None:
    result = evaluate(tiny_base, rows(2), adapter=answering, stop="k")
    assert {p["prediction"] for p in result.predictions} == {"O"}


def test_rows_are_drawn_by_seed_and_id_alone(tiny_base: Path) -> None:
    chosen = {p["id"] for p in evaluate(tiny_base, rows(), max_rows=4).predictions}
    assert len(chosen) == 4
    fewer = {p["id"] for p in evaluate(tiny_base, rows(), max_rows=2).predictions}
    assert fewer < chosen
    table = rows()
    turned = table.take(list(reversed(range(table.num_rows))))
    assert {p["id"] for p in evaluate(tiny_base, turned, max_rows=4).predictions} == chosen


def test_only_prompts_of_one_length_are_generated_together() -> None:
    prompts = [[1], [1, 2], [3], [4], [5, 6]]
    assert list(same_length(prompts, 2)) == [[0, 2], [3], [1, 4]]


def test_no_rows_are_refused(tiny_base: Path) -> None:
    with pytest.raises(StepError, match="nothing to evaluate"):
        evaluate(tiny_base, rows(0))
