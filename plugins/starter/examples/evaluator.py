"""The evaluator `my-plugin`."""

from __future__ import annotations

import math
from typing import Any

from khichdi.plugins import EvaluationJob, EvaluationResult, Evaluator, Params, Progress
from pydantic import Field


class MyPluginParams(Params):
    """Parameters of `my-plugin`; every field has a description."""

    cpu_threads: int = Field(2, ge=1, le=256, description="CPU threads: rounding depends on them.")


class MyPlugin(Evaluator[MyPluginParams]):
    """Measure the perplexity of validation answers: how much their tokens surprise the model."""

    name = "my-plugin"
    requires = ("torch", "transformers", "peft")

    def evaluate(self, job: EvaluationJob) -> EvaluationResult:
        """Return the perplexity per answer token, and each row's loss in nats."""
        import torch
        from khichdi.plugins.toolkit import (
            attach_adapter,
            deterministic,
            encode_all,
            load_model,
            load_tokenizer,
        )

        tokenizer = load_tokenizer(job.base)
        predictions = []
        with deterministic(self.params.cpu_threads), torch.inference_mode():
            model = load_model(job.base, job.quantizer)
            if job.adapter is not None:
                model = attach_adapter(model, job.adapter)
            for number, row in enumerate(job.rows.to_pylist(), 1):
                samples = encode_all(job.template.renderings(row, tokenizer), tokenizer)
                parts = [_loss(model, ids, labels) for ids, labels in samples]
                loss, tokens = sum(p[0] for p in parts), sum(p[1] for p in parts)
                predictions.append({"id": row["id"], "loss": loss, "tokens": tokens})
                job.report(Progress(number, job.rows.num_rows, unit="rows"))
        return EvaluationResult(self.metrics_of(predictions), predictions)

    def metrics_of(self, predictions: list[dict[str, Any]]) -> dict[str, float]:
        """Return the perplexity; an audit recomputes it by this from the predictions."""
        total = math.fsum(row["loss"] for row in predictions)
        tokens = sum(row["tokens"] for row in predictions)
        return {"perplexity": math.exp(min(total / max(1, tokens), 700.0))}


def _loss(model: Any, ids: list[int], labels: list[int]) -> tuple[float, int]:
    """Return the summed loss of a sample's answer tokens, and how many there are."""
    import torch
    from khichdi.plugins.toolkit import IGNORE

    tokens, targets = (torch.tensor([part], device=model.device) for part in (ids, labels))
    logits = model(input_ids=tokens, use_cache=False).logits[0, :-1].float()
    entropy = torch.nn.functional.cross_entropy
    loss = entropy(logits, targets[0, 1:], ignore_index=IGNORE, reduction="sum")
    return float(loss), int((targets[0, 1:] != IGNORE).sum())
