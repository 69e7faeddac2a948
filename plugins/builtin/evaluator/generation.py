"""Generate and score answers to validation rows.

Rows are generated together only where their prompts have the same number of tokens: nothing is
padded, so nothing is masked. Which rows these are follows from the rows alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from khichdi.plugins.kinds import EvaluationResult, Progress, Rendering
from khichdi.plugins.toolkit import Generator, same_length
from khichdi.plugins.toolkit.determinism import deterministic
from khichdi.plugins.toolkit.frozen_linear import install
from khichdi.plugins.toolkit.model_loading import (
    attach_adapter,
    encode_all,
    load_model,
    load_tokenizer,
    quiet,
)
from khichdi.schema.digest import draws
from khichdi.schema.errors import RowError, StepError

from .scores import mean_scores, scored

if TYPE_CHECKING:
    import pyarrow as pa

    from khichdi.plugins.kinds import EvaluationJob

    from .params import GenerateParams


def evaluate(params: GenerateParams, job: EvaluationJob) -> EvaluationResult:
    """Generate and score; see `Evaluator.evaluate`."""
    rows = _chosen(job.rows, params.max_rows, job.seed)
    if not rows:
        raise StepError(
            "there is nothing to evaluate: the validation set is empty",
            hint="add a validation set with mixture.validation.count",
        )
    with quiet(), deterministic(params.cpu_threads):
        tokenizer = load_tokenizer(job.base)
        rows, rendered = _prompts(job.template, rows, tokenizer)
        prompts = [ids for ids, _ in encode_all(rendered, tokenizer)]
        generator = _generator(params, job, tokenizer)
        answers = [""] * len(rows)
        done = 0
        for group in same_length(prompts, params.batch_size):
            texts = generator.answers([prompts[i] for i in group])
            for index, text in zip(group, texts, strict=True):
                answers[index] = text
            done += len(group)
            job.report(Progress(done, len(rows), unit="rows"))
    return _scored(params, rows, answers)


def _chosen(table: pa.Table, limit: int | None, seed: int) -> list[dict[str, Any]]:
    """Return the rows to evaluate in their order; those with the smallest draws where limited."""
    if limit is not None and limit < table.num_rows:
        drawn = draws(seed, table.column("id").to_pylist())
        kept = sorted(range(len(drawn)), key=lambda i: (drawn[i], i))[:limit]
        table = table.take(sorted(kept))
    found: list[dict[str, Any]] = table.to_pylist()
    return found


def _prompts(
    template: Any, rows: list[dict[str, Any]], tokenizer: Any
) -> tuple[list[dict[str, Any]], list[Rendering]]:
    """Return rows and their prompts, without rows that the template drops."""
    kept, prompts = [], []
    for row in rows:
        try:
            prompts.append(template.prompt(row, tokenizer))
            kept.append(row)
        except RowError as error:
            if getattr(template.params, "on_bad_row", "error") != "drop":
                raise StepError(f"row {row['id']}: {error.message}", hint=error.hint) from None
    if not kept:
        raise StepError("there is nothing to evaluate: the template refuses every validation row")
    return kept, prompts


def _generator(params: GenerateParams, job: EvaluationJob, tokenizer: Any) -> Generator:
    model = load_model(job.base, job.quantizer)
    if job.adapter is not None:
        model = attach_adapter(model, job.adapter)
    dtype = getattr(torch, job.quantizer.dtype())
    install(model, dtype, int(params.weight_cache_gib * 2**30))
    return Generator(model, tokenizer, max_new_tokens=params.max_new_tokens, stop=params.stop)


def _scored(
    params: GenerateParams, rows: list[dict[str, Any]], answers: list[str]
) -> EvaluationResult:
    predictions = [
        scored(row, answer, params.normalize) for row, answer in zip(rows, answers, strict=True)
    ]
    return EvaluationResult(metrics=mean_scores(predictions), predictions=predictions)
