"""The evaluator `perplexity`."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from khichdi.plugins import (
    EvaluationJob,
    EvaluationResult,
    Evaluator,
    Params,
    Progress,
    StepError,
    hookimpl,
)
from pydantic import Field

if TYPE_CHECKING:
    import torch


class PerplexityParams(Params):
    """How much of the held-out rows is looked at, and with how many threads."""

    max_rows: int | None = Field(
        None, ge=1, description="Rows to evaluate, the first by id; all if omitted."
    )
    cpu_threads: int = Field(2, ge=1, le=256, description="CPU threads: rounding depends on them.")


class Perplexity(Evaluator[PerplexityParams]):
    """Measure how much held-out answers surprise the model: perplexity per answer token."""

    name = "perplexity"
    requires = ("torch", "transformers", "peft")

    def rehearsal(self) -> dict[str, Any]:
        """Look at four rows."""
        return {"max_rows": min(4, self.params.max_rows or 4)}

    def evaluate(self, job: EvaluationJob) -> EvaluationResult:
        """Return `perplexity` and `answer_loss` over all answer tokens, and the loss by row."""
        rows = sorted(job.rows.to_pylist(), key=lambda row: row["id"])[: self.params.max_rows]
        if not rows:
            raise StepError(
                "there is nothing to evaluate: the validation set is empty",
                hint="add a validation set with mixture.validation.count",
            )
        with _threads(self.params.cpu_threads):
            model, tokenizer = _load(job)
            predictions = []
            for number, row in enumerate(rows, 1):
                ids, learnt = _tokens(job.template.segments(row, tokenizer), tokenizer)
                loss = _loss(model, ids, learnt)
                predictions.append({"id": row["id"], "loss": loss, "tokens": sum(learnt)})
                job.report(Progress(number, len(rows), unit="rows"))
        tokens = sum(prediction["tokens"] for prediction in predictions)
        mean = math.fsum(prediction["loss"] for prediction in predictions) / max(1, tokens)
        metrics = {"answer_loss": mean, "perplexity": math.exp(min(mean, 700.0))}
        return EvaluationResult(metrics, predictions)


@contextmanager
def _threads(count: int) -> Iterator[None]:
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        with torch.random.fork_rng(), torch.inference_mode():
            yield
    finally:
        torch.set_num_threads(before)


def _load(job: EvaluationJob) -> tuple[Any, Any]:
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = str(job.base)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = AutoModelForCausalLM.from_pretrained(
        folder,
        quantization_config=job.quantizer.config(),
        dtype=getattr(torch, job.quantizer.dtype()),
        device_map={"": device},
        local_files_only=True,
    )
    if job.adapter is not None:
        model = PeftModel.from_pretrained(model, str(job.adapter), local_files_only=True)
    return model.eval(), AutoTokenizer.from_pretrained(folder, local_files_only=True)


def _tokens(segments: Any, tokenizer: Any) -> tuple[list[int], list[bool]]:
    """Return the tokens of a rendered row as training sees them, and which were learnt."""
    ids: list[int] = []
    learnt: list[bool] = []
    first = tokenizer("a")["input_ids"][:1]
    starts = bool(segments) and segments[0].text.startswith(tokenizer.bos_token or "\0")
    if first == [tokenizer.bos_token_id] and not starts:
        ids, learnt = list(first), [False]
    for segment in segments:
        piece = list(tokenizer(segment.text, add_special_tokens=False)["input_ids"])
        end = tokenizer.eos_token
        if segment.learn and end and not segment.text.endswith(end):
            piece.append(tokenizer.eos_token_id)
        ids += piece
        learnt += [segment.learn] * len(piece)
    return ids, learnt


def _loss(model: Any, ids: list[int], learnt: list[bool]) -> float:
    """Return the summed loss of the answer's tokens, each predicted from all before it."""
    import torch

    tokens: torch.Tensor = torch.tensor([ids], device=model.device)
    logits = model(input_ids=tokens, use_cache=False).logits[0, :-1].float()
    losses = torch.nn.functional.cross_entropy(logits, tokens[0, 1:], reduction="none")
    return float(losses[torch.tensor(learnt[1:], device=losses.device)].double().sum())


@hookimpl
def khichdi_evaluators() -> list[type[Perplexity]]:
    """Return the plugins of this distribution."""
    return [Perplexity]
