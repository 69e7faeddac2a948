"""Greedy generation without padding, and its scores.

Rows are generated together only where their prompts have the same number of tokens: nothing is
padded, so nothing is masked. Which rows these are follows from the rows alone.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import torch

from ....schema.digest import draws
from ....schema.errors import StepError
from ...determinism import deterministic
from ...kinds import EvaluationResult, Progress
from ...linears import install
from ...models import attach_adapter, encode_all, load_model, load_tokenizer, quiet

if TYPE_CHECKING:
    import pyarrow as pa

    from ...kinds import EvaluationJob
    from .generate import GenerateParams


def evaluate(params: GenerateParams, job: EvaluationJob) -> EvaluationResult:
    """Generate and score; see `Evaluator.evaluate`."""
    rows = _chosen(job.rows, params.max_rows, job.seed)
    if not rows:
        raise StepError(
            "there is nothing to evaluate: no row is held out",
            hint="hold some out with mixture.validation.count",
        )
    with quiet(), deterministic(params.cpu_threads):
        tokenizer = load_tokenizer(job.base)
        # All but the last piece, which is the answer.
        segments = [job.template.segments(row, tokenizer)[:-1] for row in rows]
        prompts = [ids for ids, _ in encode_all(segments, tokenizer)]
        generator = Generator(params, job, tokenizer)
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


def same_length(prompts: Sequence[Sequence[int]], batch_size: int) -> Iterator[list[int]]:
    """Yield positions of prompts with the same number of tokens, at most `batch_size` at once."""
    by_length: dict[int, list[int]] = defaultdict(list)
    for index, prompt in enumerate(prompts):
        if not prompt:
            raise StepError(
                "a row has an empty prompt: there is nothing to generate from",
                hint="use a template that puts some text before the answer",
            )
        by_length[len(prompt)].append(index)
    for _, indices in sorted(by_length.items()):
        for first in range(0, len(indices), batch_size):
            yield indices[first : first + batch_size]


class Generator:
    """A model that answers prompts greedily."""

    def __init__(self, params: GenerateParams, job: EvaluationJob, tokenizer: Any) -> None:
        model = load_model(job.base, job.quantizer)
        self._model = model if job.adapter is None else attach_adapter(model, job.adapter)
        dtype = getattr(torch, job.quantizer.dtype())
        install(self._model, dtype, int(params.weight_cache_gib * 2**30))
        self._device = model.device
        self._tokenizer = tokenizer
        self._stop = params.stop
        self._limit = params.max_new_tokens
        self._ends = _ends(model, tokenizer)

    def answers(self, prompts: Sequence[Sequence[int]]) -> list[str]:
        """Return the texts that follow prompts of the same length."""
        with torch.inference_mode():
            return [self._text(ids) for ids in self._generate(prompts)]

    def _generate(self, prompts: Sequence[Sequence[int]]) -> list[list[int]]:
        current = torch.tensor(prompts, device=self._device)
        cache = None
        ids: list[list[int]] = [[] for _ in prompts]
        open_rows = set(range(len(prompts)))
        for _ in range(self._limit):
            result = self._model(
                input_ids=current, past_key_values=cache, use_cache=True, logits_to_keep=1
            )
            cache = result.past_key_values
            # Of equal logits the first wins: argmax says so.
            best = result.logits[:, -1].float().argmax(dim=-1)
            for row, token in enumerate(best.tolist()):
                if row in open_rows:
                    ids[row].append(token)
                    if token in self._ends or self._stopped(ids[row]):
                        open_rows.discard(row)
            if not open_rows:
                break
            current = best[:, None]
        return ids

    def _text(self, ids: list[int]) -> str:
        text: str = self._tokenizer.decode(ids, skip_special_tokens=True)
        return text if self._stop is None else text.split(self._stop, 1)[0]

    def _stopped(self, ids: list[int]) -> bool:
        return self._stop is not None and self._stop in self._tokenizer.decode(ids)


def _ends(model: Any, tokenizer: Any) -> frozenset[int]:
    """Return the tokens that end an answer: the tokenizer's and the model's own."""
    own = model.generation_config.eos_token_id
    listed = own if isinstance(own, list) else [own]
    return frozenset(token for token in [tokenizer.eos_token_id, *listed] if token is not None)


def _scored(
    params: GenerateParams, rows: list[dict[str, Any]], answers: list[str]
) -> EvaluationResult:
    from rouge_score.rouge_scorer import RougeScorer

    scorer = RougeScorer(["rougeL"])
    predictions = []
    for row, answer in zip(rows, answers, strict=True):
        references = row["references"] or [row["output"]]
        exact = any(_normal(answer, params) == _normal(text, params) for text in references)
        rouge = max(scorer.score(text, answer)["rougeL"].fmeasure for text in references)
        predictions.append(
            {
                "id": row["id"],
                "prediction": answer,
                "exact_match": float(exact),
                "rouge_l": float(rouge),
            }
        )
    count = len(predictions)
    metrics = {
        name: math.fsum(prediction[name] for prediction in predictions) / count
        for name in ("exact_match", "rouge_l")
    }
    return EvaluationResult(metrics=metrics | {"rows": float(count)}, predictions=predictions)


def _normal(text: str, params: GenerateParams) -> str:
    stripped = text.strip()
    return stripped.casefold() if params.normalize == "lower" else stripped
